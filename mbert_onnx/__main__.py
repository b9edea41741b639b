"""`python -m mbert_onnx`."""

from mbert_onnx.cli.app import main

main()
