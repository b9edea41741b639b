"""Advice for errors of onnxruntime, whose exceptions have no common class and name no remedy."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.bundles.inputs import first_line
from mbert_onnx.errors import VerificationError

# Parts of messages of onnxruntime, and what to do about each; the first that is found counts.
_ADVICE = (
    (("bad_alloc", "bad allocation", "Failed to allocate", "not enough memory"), "Free some memory."),
    (("xternal data",), "Copy the file with its weights beside the model."),
    (("not a registered function/op", "NOT_IMPLEMENTED"), "Install the onnxruntime that has this operator."),
    (("opset",), "Export it with a lower --opset, or install a newer onnxruntime."),
    (("INVALID_PROTOBUF", "Invalid model", "INVALID_GRAPH", "No graph was found"), "Export it again."),
)
_OTHER = "`mbert-onnx inspect` prints what the file contains."


class LoadError(VerificationError):
    """A file that onnxruntime does not load; `path` is the file. The message is for a file that was just written."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path.name} is not loaded by onnxruntime: {first_line(error)}")
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
    message = str(error)
    if isinstance(error, MemoryError):
        message = "bad_alloc"
    advice = next((advice for parts, advice in _ADVICE if any(part in message for part in parts)), _OTHER)
    return f"onnxruntime cannot {verb} {path}: {first_line(error)} {advice}"
