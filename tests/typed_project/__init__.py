"""What a project that uses every public name looks like to a type checker: read by mypy and pyright, and not run."""
