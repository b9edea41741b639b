"""Helpers over onnx_ir: affine forms, constants, layouts, consumers, matching and rewriting. Passes import these."""
