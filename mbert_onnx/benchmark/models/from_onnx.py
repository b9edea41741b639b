"""What other runtimes make of an `.onnx` file, to be benched against ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from perf.harness import Subject
from perf.machine.peaks import INT8
from perf.sessions.runtimes import IREE, MNN, OPENVINO, OPENVINO_BF16, OPENVINO_F32, TVM

Progress = Callable[[str], None]

OPENVINO_INT8 = "openvino-int8"
# `openvino:MODEL` and so on, and what runs each.
OPENVINOS = {"openvino": OPENVINO_F32, "openvino-bf16": OPENVINO_BF16, OPENVINO_INT8: OPENVINO}
# `openvino-fixed:MODEL` is `openvino:MODEL` with a file of fixed shapes for each length, and so on.
FIXED = "-fixed"

# `mnn:MODEL` and so on: a file of fixed shapes for each length.
CONVERTED = (MNN, IREE, TVM)


def is_fixed_openvino(kind: str) -> bool:
    """Whether a name stands for one of OpenVINO's with fixed shapes."""
    return kind.endswith(FIXED) and kind.removesuffix(FIXED) in OPENVINOS


def in_openvino(
    name: str,
    kind: str,
    given: Subject,
    folder: Path,
    texts: Callable[[Path], Sequence[Mapping[str, np.ndarray]]],
    tell: Progress,
) -> Subject:
    """A model in OpenVINO, in one of `OPENVINOS`.

    Args:
        name: What the model is called.
        given: What it is made of.
        folder: Where its files go.
        texts: Gives what int8 is calibrated on, as a file takes it, inputs by name.
        tell: Is told what begins.

    Raises PerfError where OpenVINO cannot be installed, or NNCF fails.
    """
    from perf.peers.openvino import openvino_python, quantize_for_openvino

    files = dict.fromkeys(given.files)
    feeds = {file: texts(file) for file in files if kind == OPENVINO_INT8}
    subject = replace(given, name=name, runtime=OPENVINOS[kind], library=None, python=openvino_python(tell))
    if kind != OPENVINO_INT8:
        return subject
    tell("quantizing")
    made: dict[Path, Path] = {}
    note = ""
    for number, file in enumerate(files):
        made[file] = folder / f"{number}.xml"
        note = quantize_for_openvino(file, made[file], feeds[file], tell)
    return replace(
        subject,
        path=made[given.path],
        by_length={seq_len: made[file] for seq_len, file in given.by_length.items()},
        reference=given.reference or given.path,
        notes=(*given.notes, note),
        precision=INT8,
    )


def fixed_in_openvino(
    name: str, given: Subject, folder: Path, seq_lens: Sequence[int], batch: int, tell: Progress
) -> Subject:
    """The same with fixed shapes: a file for each length, unless each has one already.

    Args:
        name: What the model is called.
        given: One that `in_openvino` made.
        folder: Where its files go.
        seq_lens, batch: Its shapes.
        tell: Is told what begins.

    Raises PerfError where OpenVINO does not read the model.
    """
    from perf.peers.openvino import fix_shapes

    if given.by_length:
        return replace(given, name=name)
    by_length = {seq_len: folder / f"{seq_len}.xml" for seq_len in seq_lens}
    for seq_len, file in by_length.items():
        fix_shapes(given.path, file, batch=batch, seq_len=seq_len, tell=tell)
    return replace(given, name=name, path=by_length[max(by_length)], by_length=by_length)


def converted(
    name: str, kind: str, given: Subject, folder: Path, seq_lens: Sequence[int], batch: int, tell: Progress
) -> Subject:
    """A model in the format of one of `CONVERTED`.

    Args:
        name: What the model is called.
        given: What it is made of.
        folder: Where its files go.
        seq_lens, batch: Its shapes, unless it has files of its own for each length.
        tell: Is told what begins.

    Raises PerfError where the converter fails, or cannot be installed.
    """
    from perf.peers.onnx_converters import ONNX_CONVERTERS

    converter = ONNX_CONVERTERS[kind]
    tell("converting")
    sources = given.by_length or dict.fromkeys(seq_lens, given.path)
    by_length: dict[int, Path] = {}
    for file in dict.fromkeys(sources.values()):
        lengths = [seq_len for seq_len, source in sources.items() if source == file]
        by_length |= converter.convert(file, folder, seq_lens=lengths, batch=batch, progress=tell)
    return replace(
        given,
        name=name,
        path=by_length[max(by_length)],
        runtime=kind,
        by_length=by_length,
        library=None,
        python=converter.python(tell),
    )
