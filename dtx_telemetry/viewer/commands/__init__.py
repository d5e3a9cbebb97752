"""One module a command; each has a function ``run`` that returns the exit code."""
