"""The graph passes: one idea, one `onnx_ir` pass, one file. Only `graphs.pipeline` knows their order."""
