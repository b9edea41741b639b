"""Properties of a whole ONNX model: loading, opsets, sizes, costs, fingerprint, precision."""
