"""Passes that lower the precision, built for one model from its calibration data."""
