"""Text file in onnxruntime: its record, its inputs and outputs, and runs that say what it does not take."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mbert_onnx.bundles.records import TEXT_VARIANTS, VARIANTS
from mbert_onnx.bundles.session_errors import session_error
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.text_files.record import OUTPUTS, TextRecord
from mbert_onnx.runtime.text_files.vocabulary import read_vocabulary

DEFAULT_STRIDE = -1
# A number of answers or tokens that is larger means all, too.
LARGEST = np.iinfo(np.int64).max


Outputs = Mapping[str, np.ndarray]


class TextFile:
    """A loaded text file.

    Args:
        path: The file.
        session: Its onnxruntime session.
    """

    def __init__(self, path: Path, session: Any) -> None:
        self.path = path
        self.session = session
        self.record = TextRecord.of(session.get_modelmeta().custom_metadata_map, path)
        self.vocabulary: Mapping[int, str] | None = None  # the text of each token by id; read when it is needed
        self.shares_runs: bool | None = None  # whether texts may share a run, once it is tried
        self.inputs = {node.name for node in (*session.get_inputs(), *session.get_overridable_initializers())}
        self._outputs = [node.name for node in session.get_outputs()]

    def token_text(self, number: int) -> str:
        """Returns the text of a token, of the lists beside the file. Raises BundleError where there is none."""
        if self.vocabulary is None:
            self.vocabulary = read_vocabulary(self.path, self.record.vocabulary)
        return self.vocabulary.get(number, str(number))

    def run(
        self, feeds: dict[str, np.ndarray], *, max_length: int | None = None, stride: int | None = None
    ) -> dict[str, np.ndarray]:
        """Runs the file. Raises UsageError for what it has no input for, and BundleError if it fails."""
        limit = self.record.limit
        if max_length is not None and not 0 < max_length <= limit:
            raise UsageError(
                f"max_seq_len is {max_length}, but the model takes 1 to {limit} tokens. Give one of those."
            )
        if stride is not None:
            if "stride" not in self.inputs:
                self.refuse("reads a text in one row, and takes no stride")
            if not 0 <= stride < limit:
                raise UsageError(f"stride is {stride}; expected a whole number from 0 to {limit - 1}")
        given = feeds | {"max_length": number_input(self.record.max_length if max_length is None else max_length)}
        if "stride" in self.inputs:
            given["stride"] = number_input(DEFAULT_STRIDE if stride is None else stride)
        missing = [name for name in given if name not in self.inputs]
        if missing:
            task = self.record.task.name
            raise BundleError(f"{self.path} has no input {missing[0]}, which {task} needs; export it again")
        try:
            values = self.session.run(self._outputs, given)
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise BundleError(session_error("run", str(self.path), error)) from error
        found = dict(zip(self._outputs, values, strict=True))
        self._check(found)
        return found

    def log_cut(self, found: Outputs | int, what: str) -> None:
        """Logs how much of a text a file of fixed length did not read, where the model file would read windows."""
        count = found if isinstance(found, int) else int(found["cut"].sum()) if "cut" in found else 0
        if count:
            logging.getLogger("mbert_onnx").warning(
                "%s tokens of the %s were not read: %s takes rows of at most %s tokens",
                count,
                what,
                self.path,
                self.record.limit,
            )

    def refuse(self, reason: str, advice: str | None = None) -> NoReturn:
        """Raises UsageError for what a text file does not do, with the ordinary file that does it."""
        name = dict(zip(TEXT_VARIANTS.values(), VARIANTS.values(), strict=True))
        ordinary = self.path.with_name(Path(name.get(f"onnx/{self.path.name}", VARIANTS["fp32"])).name)
        instead = f"give {ordinary}" if ordinary.is_file() else "give the ordinary model file of its bundle"
        raise UsageError(f"{self.path} is a text file, which {reason}; {f'{advice}, or ' if advice else ''}{instead}")

    def _check(self, found: dict[str, np.ndarray]) -> None:
        """Raises BundleError for outputs that are not those of the task."""
        task = self.record.task.name
        for name, axes in OUTPUTS[task].items():
            if name not in found or np.ndim(found[name]) != axes:
                what = "no output" if name not in found else f"an output of {np.ndim(found[name])} axes, not {axes},"
                raise BundleError(f"{self.path} has {what} {name}, which {task} has; export it again")


def number_input(value: int) -> np.ndarray:
    """Returns the input of a number, int64 [1]."""
    return np.array([min(value, LARGEST)], np.int64)
