"""ONNX in, ONNX out: what turns a MobileBERT graph into a fast one. Private to `mbert_onnx`; never imports torch."""
