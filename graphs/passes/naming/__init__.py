"""Passes that name nodes and weights after their layers."""
