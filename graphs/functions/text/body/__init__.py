"""Tokens of bytes in the bodies of the text functions: one step of the tokenizer per file, as standard ONNX nodes."""
