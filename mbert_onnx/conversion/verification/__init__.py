"""Verification: a model file against the model that it was made from."""
