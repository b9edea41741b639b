"""The commands of `mbert-onnx`, a module for each group; `mbert_onnx.cli.application` lists them."""
