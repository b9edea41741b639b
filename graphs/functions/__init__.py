"""The fused operators: ONNX functions of the domain `mbert`, with bodies of standard ONNX."""

DOMAIN = "mbert"
VERSION = 1
