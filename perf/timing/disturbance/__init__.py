"""Disturbances of a benchmark: what slows some of its repetitions, and how it is noticed."""
