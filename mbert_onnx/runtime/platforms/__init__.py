"""Folders with the native kernels for the build tools of other platforms: `mbert-onnx kernels --for`."""
