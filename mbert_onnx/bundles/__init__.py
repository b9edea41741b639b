"""Bundles: the folder that `export` writes, and the `.onnx` files that commands read."""
