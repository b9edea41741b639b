"""Runner of a model file in onnxruntime, for comparisons. It needs no torch, which `optimize` does without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mbert_onnx.bundles.inputs import Inputs, first_line, inputs_of
from mbert_onnx.bundles.model_file import open_session
from mbert_onnx.bundles.ports import check_axes, with_outputs
from mbert_onnx.bundles.types import Feed, Runner
from mbert_onnx.errors import VerificationError
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import Task


class OpenFile(NamedTuple):
    """A model file in a session.

    Args:
        run: Runs it; what a feed has beyond the file's inputs is left out.
        inputs: The inputs that the file takes.
        session: The session, with transformers' names.
    """

    run: Runner
    inputs: Inputs
    session: Any


def file_runner(path: Path, task: Task, library: Path | None = None, outputs: Sequence[str] = ()) -> OpenFile:
    """Opens a file of a task.

    Args:
        path: The file.
        task: Its task.
        library: Native kernels.
        outputs: The file's names of the task's outputs, in the task's order; default: by their names or shapes.

    Raises BundleError for inputs or shapes of outputs that are not the task's, VerificationError for outputs that are
    not, and for a file that onnxruntime does not load.
    """
    session = with_outputs(open_session(path, library), task, chosen=outputs)
    inputs = inputs_of(session, task, path.name)
    names = [output.name for output in session.get_outputs()]
    if not task.is_answered_by(names):  # else there may be nothing to compare, and no difference
        raise VerificationError(
            f"{path.name} has outputs {name_list(names)}; {task.name} needs {', '.join(task.output_names)}"
        )
    check_axes(session, task, path.name, advice="give a file of that task, or the --task of this one")

    def run(feed: Feed) -> dict[str, np.ndarray]:
        try:
            values = session.run(names, inputs.typed(feed))
        except Exception as error:
            raise VerificationError(f"{path.name} does not run in onnxruntime: {first_line(error)}") from error
        return dict(zip(names, values, strict=True))

    return OpenFile(run, inputs, session)
