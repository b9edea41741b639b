"""Quantizes a model or fixes its shapes, in OpenVINO's own environment, without the rest of this package.

openvino_files.py quantize SOURCE OUTPUT FEEDS
openvino_files.py fix SOURCE OUTPUT BATCH CHOICES SEQ_LEN

SOURCE is an `.onnx` or `.xml`, OUTPUT the `.xml` to write, FEEDS an `.npz` with arrays called NUMBER/NAME.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata

import numpy as np
import openvino

# NNCF sends usage statistics to its developers, except in its CI. A benchmark sends none.
os.environ["NNCF_CI"] = "1"


def quantize(source: str, output: str, feeds: str) -> None:
    """Quantizes to int8 by NNCF; dynamic shapes stay dynamic. Prints the settings."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    with np.load(feeds) as arrays:
        texts: dict[str, dict[str, np.ndarray]] = {}
        for key in arrays.files:
            number, name = key.split("/")
            texts.setdefault(number, {})[name] = arrays[key]
    model = openvino.Core().read_model(source)
    quantized = nncf.quantize(
        model, nncf.Dataset([*texts.values()]), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts)
    )
    openvino.save_model(quantized, output)
    print(f"nncf {metadata.version('nncf')}: quantize with model_type TRANSFORMER, calibrated on {len(texts)} texts")


def fix(source: str, output: str, batch: str, choices: str, seq_len: str) -> None:
    """Fixes the shapes, for which OpenVINO generates faster code; weights are unchanged."""
    model = openvino.Core().read_model(source)
    shapes = {}
    for port in model.inputs:
        dims = [dim.get_length() if dim.is_static else int(choices) for dim in port.get_partial_shape()]
        shapes[port.get_any_name()] = [int(batch), *dims[1:-1], int(seq_len)]
    model.reshape(shapes)
    openvino.save_model(model, output, compress_to_fp16=False)


def main(verb: str, *arguments: str) -> None:
    """Runs `quantize` or `fix`."""
    if verb == "quantize":
        quantize(*arguments)
    else:
        fix(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
