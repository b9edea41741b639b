"""The commands of `mbert-onnx`, a module for each group; `mbert_onnx.cli.app` lists them."""
