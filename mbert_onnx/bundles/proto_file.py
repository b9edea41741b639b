"""The protobuf of a model file, without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mbert_onnx.errors import BundleError

if TYPE_CHECKING:
    import onnx


def read_proto(path: Path) -> onnx.ModelProto:
    """Reads a model file without weights outside of it. Raises BundleError for one that is not an ONNX model."""
    import onnx  # imported here, because running a model does not need it

    from graphs.model.loading import not_a_model

    try:
        return onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's errors have no common class
        raise BundleError(not_a_model(path, " ".join(str(error).split()))) from error
