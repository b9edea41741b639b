"""Files with the names of other exporters in `bench`: copies with transformers' names."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import onnx
import onnxruntime
import pytest
from tf2onnx_graphs import NAMES, tf_mobilebert

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder


def built(path: Path, stack: ExitStack, task: str | None = None) -> BuiltModel:
    builder = ModelBuilder(stack, task=task, seed=0, seq_lens=[8], batch=1, kernels="portable", progress=None)
    return builder.build(str(path))


@pytest.mark.parametrize("outputs", [("end_logits:0", "start_logits:0"), ("clone_73", "linear_62")])
def test_a_copy_has_transformers_names(outputs: tuple[str, str], tmp_path: Path) -> None:
    names = ("input_word_ids", "input_mask", "segment_ids")
    onnx.save(tf_mobilebert(names=names, outputs=outputs, layers=1, networks=1), tmp_path / "m.onnx")
    with ExitStack() as stack:
        subject = built(tmp_path / "m.onnx", stack).subject
        assert subject.path != tmp_path / "m.onnx"
        session = onnxruntime.InferenceSession(subject.path)
        assert {one.name for one in session.get_inputs()} == set(NAMES)
        assert {one.name for one in session.get_outputs()} == {"start_logits", "end_logits"}
        assert subject.vocab_size == 300
        assert subject.notes[-1].startswith("its inputs and outputs renamed: input_mask, input_word_ids, segment_ids, ")
    assert not subject.path.exists()


def test_a_file_with_transformers_names_is_timed_itself(tmp_path: Path) -> None:
    onnx.save(tf_mobilebert(layers=1, networks=1), tmp_path / "m.onnx")
    with ExitStack() as stack:
        subject = built(tmp_path / "m.onnx", stack).subject
    assert (subject.path, subject.notes) == (tmp_path / "m.onnx", ())


def test_outputs_that_fit_several_tasks_are_those_of_the_task_that_is_asked_for(tmp_path: Path) -> None:
    model = tf_mobilebert(layers=1, networks=1)
    (split,) = [node for node in model.graph.node if node.op_type == "Split"]  # of logits [batch, length, 2]
    del model.graph.output[:]
    kind = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info(split.input[0], kind, ["unk__520", "unk__521", 2]))
    onnx.save(model, tmp_path / "m.onnx")
    for task, name in (("token-classification", "logits"), (None, split.input[0])):
        with ExitStack() as stack:
            session = onnxruntime.InferenceSession(built(tmp_path / "m.onnx", stack, task).subject.path)
        assert [one.name for one in session.get_outputs()] == [name]
