"""`python -m mbert_onnx`."""

from mbert_onnx.cli import main

main()
