"""Advice for errors of onnxruntime, whose exceptions have no common class and name no remedy."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.bundles.inputs import first_line
from mbert_onnx.errors import MbertError, VerificationError
from mbert_onnx.errors.requirements import require_beside

# Parts of messages of onnxruntime, and what to do about each; the first that is found counts.
_ADVICE = (
    (("bad_alloc", "bad allocation", "Failed to allocate", "not enough memory"), "Free some memory."),
    (("not a registered function/op", "NOT_IMPLEMENTED"), "Install the onnxruntime that has this operator."),
    (
        ("Type Error",),
        "A node of the file has a type that ONNX does not allow there, as a partial conversion to another precision "
        "leaves it: convert it again.",
    ),
    (("opset",), "Export it with a lower --opset, or install a newer onnxruntime."),
    (("INVALID_PROTOBUF", "Invalid model", "INVALID_GRAPH", "No graph was found"), "Export it again."),
)
_OTHER = "`mbert-onnx inspect` prints what the file contains."


class LoadError(VerificationError):
    """A file that onnxruntime does not load; `path` is the file. The message is for a file that was just written."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(data_fault(path) or f"{path.name} is not loaded by onnxruntime: {first_line(error)}")
        self.path = path


def session_error(verb: str, path: str, error: BaseException) -> str:
    """Returns the line for an error of onnxruntime.

    Args:
        verb: What failed: `load` or `run`.
        path: The model file.
        error: The exception.
    """
    try:
        path.encode()
    except UnicodeEncodeError:  # onnxruntime's message would be about types
        return f"The name {path} is not valid UTF-8, which onnxruntime needs. Rename the file or folder."
    if verb == "load" and (fault := data_fault(Path(path))):
        return fault
    message = str(error)
    if verb == "load" and "INVALID_PROTOBUF" in message and (fault := _kind_fault(Path(path))):
        return fault
    if isinstance(error, MemoryError):
        message = "bad_alloc"
    advice = next((advice for parts, advice in _ADVICE if any(part in message for part in parts)), _OTHER)
    return f"onnxruntime cannot {verb} {path}: {first_line(error)} {advice}"


def data_fault(path: Path) -> str | None:
    """Returns what is wrong with the external data of a file; None if it has none, or nothing is wrong with it.

    onnxruntime's own message has its source line instead of an advice, and exporting again would not always help.
    """
    try:
        require_beside("graphs")
    except MbertError:  # a model also runs without `graphs`
        return None
    from graphs.errors import GraphError
    from graphs.model.external_data import ExternalDataError
    from graphs.model.loading import read_model

    try:
        read_model(path, values=False)
    except ExternalDataError as error:
        return str(error)
    except GraphError:
        return None
    return None


def _kind_fault(path: Path) -> str | None:
    """Returns what a file is that is no ONNX model, such as JSON; None for a file that may be a damaged one."""
    try:
        require_beside("graphs")
    except MbertError:
        return None
    from graphs.model.loading import known_content

    return known_content(path)
