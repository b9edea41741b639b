"""Passes that bring graphs of different exporters into one form."""
