"""Passes that lower the precision: fp16 and int8."""
