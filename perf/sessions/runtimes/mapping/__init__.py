"""Weights that onnxruntime maps from a model file, which are found in the file without parsing it."""
