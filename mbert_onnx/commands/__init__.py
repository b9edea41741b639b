"""The commands, options and printing, a module for each kind; `cli.py` lists them."""
