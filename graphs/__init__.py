"""Passes, kernels and reports for ONNX graphs of MobileBERT. Private to `mbert_onnx`; never imports torch."""
