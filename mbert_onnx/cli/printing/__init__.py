"""Output of the command line: progress on standard error, results on standard output; a module for each group."""
