"""Diagnosis of models and machines: `doctor`, `inspect` and `providers`."""
