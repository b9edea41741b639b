"""Rows of tokens in the bodies of the text functions: truncation, windows, places, outputs, as standard ONNX nodes."""
