"""A module for each command. Its function ``run`` returns the exit code."""
