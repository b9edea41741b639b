"""Conversion: `export`, `optimize` and `verify`, and the accuracy gate of lower precisions."""
