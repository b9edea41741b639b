"""Quantizes by optimum, in optimum's own environment, without the rest of this package.

quantize_optimum.py PRESET SOURCE OUTPUT

PRESET is a method of `AutoQuantizationConfig`, SOURCE an `.onnx`, OUTPUT the one to write.
"""

from __future__ import annotations

import inspect
import shutil
import sys
import tempfile
from pathlib import Path

from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

SUFFIX = "quantized"


def main(preset: str, source: str, output: str) -> None:
    """Quantizes dynamically where the preset has that choice, with its defaults otherwise. Prints the settings."""
    create = getattr(AutoQuantizationConfig, preset)
    chosen = {"is_static": False} if "is_static" in inspect.signature(create).parameters else {}
    config = create(**chosen)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(source, Path(folder) / "model.onnx")
        quantizer = ORTQuantizer.from_pretrained(folder, file_name="model.onnx")
        quantizer.quantize(save_dir=folder, quantization_config=config, file_suffix=SUFFIX)
        shutil.move(Path(folder) / f"model_{SUFFIX}.onnx", output)
    settings = {name: getattr(config, name) for name in ("weights_dtype", "per_channel", "reduce_range")}
    print(f"optimum's preset {preset}: " + ", ".join(f"{name} {value}" for name, value in settings.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
