"""Passes of a lower precision, made for one model from its calibration data."""
