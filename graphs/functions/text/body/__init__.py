"""The bodies of the text functions: one step of the tokenizer per file, as nodes of standard ONNX."""
