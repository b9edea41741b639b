"""Diagnosis: `doctor`, `inspect` and `providers`."""
