"""A file in, a measurement out: how fast, how big and how well placed `.onnx` models are under onnxruntime.

Knows nothing of MobileBERT: everything is read from the session's signature. Importing `perf` imports nothing heavy;
the work starts at `perf.harness.bench`.
"""
