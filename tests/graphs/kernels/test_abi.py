"""The restated part of onnxruntime's C ABI has the offsets of the official header."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[3] / "graphs" / "kernels"
# The folder of onnxruntime_c_api.h. `make onnxruntime-headers` fetches it; no package on PyPI has it.
HEADERS = Path(os.environ.get("ONNXRUNTIME_HEADERS", KERNELS.parent.parent / "build" / "onnxruntime-headers"))

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        not (HEADERS / "onnxruntime_c_api.h").is_file(), reason="`make onnxruntime-headers` fetches the official header"
    ),
]


def test_every_entry_and_field_has_the_offset_of_the_header(tmp_path: Path) -> None:
    abi = (KERNELS / "ort" / "abi.h").read_text()
    entries = re.findall(r"^  (\w+) = (\d+),$", abi, re.MULTILINE)
    # The first of the two structs is the standalone runtime's, which has no onnxruntime.
    fields = re.findall(r"\(\*(\w+)\)\(", abi.split("struct OrtCustomOp {")[2].split("};")[0])
    assert len(entries) >= 20
    assert len(fields) >= 20
    lines = [
        f'_Static_assert(offsetof(OrtApi, {name}) == {number} * sizeof(void*), "{name}");' for name, number in entries
    ]
    lines += [
        f'_Static_assert(offsetof(OrtCustomOp, {name}) == {number} * sizeof(void*), "{name}");'
        for number, name in enumerate(fields, start=1)
    ]
    lines += [
        f'_Static_assert({official} == {ours}, "{official}");'
        for official, ours in {
            "ORT_FAIL": 1,
            "ORT_INVALID_ARGUMENT": 2,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT": 1,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8": 2,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8": 3,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16": 4,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32": 6,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64": 7,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL": 9,
            "ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16": 10,
            "INPUT_OUTPUT_REQUIRED": 0,
            "INPUT_OUTPUT_OPTIONAL": 1,
            "INPUT_OUTPUT_VARIADIC": 2,
            "OrtMemTypeDefault": 0,
        }.items()
    ]
    source = tmp_path / "places.c"
    source.write_text('#include <stddef.h>\n#include "onnxruntime_c_api.h"\n' + "\n".join(lines) + "\n")
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-c",
        "-I",
        str(HEADERS),
        "-o",
        str(tmp_path / "places.o"),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
