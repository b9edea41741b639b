"""Running graphs in onnxruntime or float64, and measuring how far two results are apart."""
