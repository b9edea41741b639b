"""Names of labels in a model's metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from answer_functions import calling

from graphs.errors import GraphError
from graphs.functions.answers.choice_scores import choice_scores
from graphs.functions.answers.label_names import ENTITIES, LABELS, read_names, write_names
from graphs.model.opsets import OLDEST_OPSET

NAMES = ["O", "B-PER", "größer", "\ud800", 'a "b"\n']


def test_names_are_in_the_metadata_of_the_session(tmp_path: Path) -> None:
    model = calling(choice_scores(OLDEST_OPSET), {"logits": np.zeros((1, 2), np.float32)})
    write_names(model, NAMES, ["PER"])
    path = tmp_path / "model.onnx"
    ir.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert read_names(metadata) == NAMES
    assert read_names(metadata, ENTITIES) == ["PER"]


def test_a_model_without_names_has_none() -> None:
    model = calling(choice_scores(OLDEST_OPSET), {"logits": np.zeros((1, 2), np.float32)})
    assert read_names(model.metadata_props) is None
    write_names(model, NAMES)
    assert read_names(model.metadata_props, ENTITIES) is None


@pytest.mark.parametrize("text", ["", "O B-PER", '{"0": "O"}', "[1, 2]", '"O"'])
def test_other_metadata_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="expected a JSON list of strings; export it again"):
        read_names({LABELS: text})
