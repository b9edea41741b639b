"""Passes that replace a block by one function of the domain mbert."""
