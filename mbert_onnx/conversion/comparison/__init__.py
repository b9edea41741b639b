"""Comparison of outputs: with a judge's, and of texts with padding with the same texts alone."""
