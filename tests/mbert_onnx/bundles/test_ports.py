"""Files with the names of other exporters: inputs by name or by use, outputs of a task, inputs that are filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from graph_helpers import graph
from tf2onnx_graphs import NAMES, feed, tf_mobilebert

from mbert_onnx.bundles.inputs import INPUT_NAMES, inputs_of, transformers_names
from mbert_onnx.bundles.model_file import answering, open_session
from mbert_onnx.bundles.ports import named_session, rename_inputs, rename_ports, restore_inputs, with_outputs
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.text.tasks import task_named

# A question answering model of one position, which takes labels and the positions, too, and returns a loss.
WITH_LABELS = """(int64[b, s] IDS, float[b, s] weights, int64[b, s] position_ids, int64[b] labels)
    => (float loss, float[b, s] FIRST, float[b, s] SECOND) <float[90, 1] words, float[9, 1] places, int64[1] last = {2},
        float[2] c>
    { w = Gather(words, IDS) p = Gather(places, position_ids) x = Add(w, p) FIRST = Squeeze(x, last)
      SECOND = Mul(FIRST, FIRST) l = Cast <to = 1> (labels) m = ReduceMean <keepdims = 0> (FIRST)
      n = ReduceMean <keepdims = 0> (l) v = ReduceMean <keepdims = 0> (weights) o = Add(m, n) loss = Add(o, v) }"""


@pytest.mark.parametrize(
    "names",
    [
        ("input_ids", "attention_mask", "token_type_ids"),
        ("input_word_ids", "input_mask", "input_type_ids"),
        ("input_ids:0", "input_mask:0", "segment_ids:0"),
        ("serving_default_input_word_ids:0", "serving_default_input_mask:0", "serving_default_input_type_ids:0"),
        ("bert/input_ids_1:0", "bert/attention_mask_1:0", "bert/token_type_ids_1:0"),
        ("input_ids.1", "attention_mask.3", "token_type_ids.2"),
        ("Input_Ids", "Mask", "Segment_Ids"),
    ],
)
def test_names_of_inputs(names: tuple[str, ...]) -> None:
    assert transformers_names(names) == dict(zip(names, INPUT_NAMES, strict=True))


def test_a_second_input_of_a_name_is_left_out() -> None:
    assert transformers_names(["mask", "attention_mask", "labels"]) == {"attention_mask": "attention_mask"}
    assert transformers_names(["x", "input_ids:0", "labels"]) == {"input_ids:0": "input_ids"}


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("input_word_ids", "input_mask", "input_type_ids"), {}),
        (("input_1", "input_2", "input_3"), {}),
        (("z", "y", "x"), {"one_hot": True, "mask": "square", "dense": "einsum", "keras": True}),
        (("ids", "what", "token_type_ids:0"), {"dense": "matmul"}),
    ],
)
def test_a_session_has_transformers_names(names: tuple[str, ...], options: dict[str, Any], tmp_path: Path) -> None:
    model = tf_mobilebert(names=names, outputs=("end:0", "start:0"), layers=1, networks=1, **options)
    onnx.save(model, tmp_path / "m.onnx")
    session = open_session(tmp_path / "m.onnx")
    assert {one.name for one in session.get_inputs()} == set(NAMES)
    assert inputs_of(session, task_named("qa"), "m.onnx").dtype is np.int32
    task, session = answering(session, "m.onnx", None, None)
    assert task.name == "question-answering"
    found = session.run(["start_logits", "end_logits"], feed(model))
    own = onnxruntime.InferenceSession(model.SerializeToString()).run(["start:0", "end:0"], feed(model, names))
    np.testing.assert_array_equal(found, own)


def test_a_graph_s_inputs_are_renamed_and_restored() -> None:
    names = ("input_word_ids", "input_mask", "input_type_ids")
    model = ir.from_proto(tf_mobilebert(names=names, layers=1, networks=1))
    next(iter(model.graph)).outputs[0].name = "attention_mask"  # which another value must give up
    before = [value.name for value in model.graph.inputs]
    ports = rename_inputs(model.graph)
    assert {value.name for value in model.graph.inputs} == set(NAMES)
    onnx.checker.check_model(ir.to_proto(model))
    restore_inputs(model.graph, ports)
    assert [value.name for value in model.graph.inputs] == before


def saved(path: Path, ids: str = "input_ids", first: str = "start_logits", second: str = "end_logits") -> Path:
    text = WITH_LABELS.replace("IDS", ids).replace("FIRST", first).replace("SECOND", second)
    ir.save(graph(text), path / "model.onnx")
    return path / "model.onnx"


def test_labels_are_filled_and_the_loss_is_hidden(tmp_path: Path) -> None:
    path = saved(tmp_path)
    session = open_session(path)
    assert [one.name for one in session.get_inputs()] == ["input_ids"]
    assert [one.name for one in session.get_outputs()] == ["start_logits", "end_logits"]
    ids = np.array([[3, 1, 2], [7, 0, 5]])
    start, end = session.run(None, {"input_ids": ids})
    model = onnx.load(path)
    words, places = (onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name in ("words", "places"))
    np.testing.assert_allclose(start, (words[ids] + places[:3])[..., 0], rtol=1e-6)
    np.testing.assert_allclose(end, start**2, rtol=1e-6)


@pytest.mark.parametrize("flag", ["training", "is_training", "mode"])
@pytest.mark.parametrize("declared", [True, False])
def test_training_mode_is_off_and_shapes_may_be_missing(flag: str, declared: bool, tmp_path: Path) -> None:
    text = f"""(int64[b, s] input_ids, bool {flag}) => (float[b, s] start_logits, float[b, s] end_logits)
        <float[9] t, float ratio = {{0.5}}> {{ w = Gather(t, input_ids) start_logits = Dropout(w, ratio, {flag})
        end_logits = Neg(start_logits) }}"""
    model = graph(text)
    if not declared:
        model.graph.inputs[0].shape = None
    ir.save(model, tmp_path / "m.onnx")
    task, session = answering(open_session(tmp_path / "m.onnx"), "m.onnx", None, None)
    assert inputs_of(session, task, "m.onnx").names == ("input_ids",)
    ids = np.array([[3, 1, 2, 5, 8, 7], [7, 0, 5, 1, 2, 3]])
    found = session.run(["start_logits"], {"input_ids": ids})[0]
    tensors = onnx.load(tmp_path / "m.onnx").graph.initializer
    words = onnx.numpy_helper.to_array(next(tensor for tensor in tensors if tensor.name == "t"))
    np.testing.assert_array_equal(found, words[ids])
    assert rename_ports(model) == (
        f"its inputs and outputs renamed: input_ids, {flag}, start_logits, end_logits → "
        "input_ids, start_logits, end_logits"
    )
    if declared:  # onnx's checker asks for shapes, onnxruntime does not
        onnx.checker.check_model(ir.to_proto(model))


def test_an_input_that_all_outputs_depend_on_is_not_filled(tmp_path: Path) -> None:
    text = """(int64[b, s] input_ids, float[b, s] scale) => (float[b, s] logits) <float[9] t>
        { w = Gather(t, input_ids) logits = Mul(w, scale) }"""
    ir.save(graph(text), tmp_path / "m.onnx")
    with pytest.raises(BundleError, match=r"m.onnx has the inputs input_ids, scale, expected input_ids and perhaps"):
        inputs_of(open_session(tmp_path / "m.onnx"), task_named("sentiment"), "m.onnx")


def test_outputs_are_found_by_order_or_chosen(tmp_path: Path) -> None:
    session = open_session(saved(tmp_path, first="clone_73", second="linear_62"))
    task, by_order = answering(session, "m.onnx", None, None)
    assert (task.name, [one.name for one in by_order.get_outputs()]) == ("question-answering", list(task.output_names))
    chosen = with_outputs(session, task, chosen=["linear_62", "clone_73"])
    feeds = {"input_ids": np.array([[3, 1]])}
    start, end = by_order.run(["start_logits", "end_logits"], feeds)
    np.testing.assert_array_equal(chosen.run(["end_logits", "start_logits"], feeds), [start, end])
    with pytest.raises(BundleError, match=r"m.onnx has outputs clone_73, linear_62; fill-mask needs logits"):
        answering(session, "m.onnx", task_named("fill-mask"), None)
    with pytest.raises(UsageError, match="--outputs names 'loss'"):
        answering(session, "m.onnx", task, None, outputs=["loss", "clone_73"])


def test_an_output_that_is_not_chosen_gives_up_its_name(tmp_path: Path) -> None:
    session = open_session(saved(tmp_path, first="linear_62", second="start_logits"))
    chosen = with_outputs(session, task_named("qa"), chosen=["linear_62", "start_logits"])
    feeds = {"input_ids": np.array([[3, 1]])}
    start, end = chosen.run(["start_logits", "end_logits"], feeds)
    np.testing.assert_allclose(end, start**2, rtol=1e-6)
    assert [one.name for one in chosen.get_outputs()] == ["start_logits", "end_logits"]


def test_a_copy_has_transformers_names_and_no_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, ids="segments_of_text", first="clone_73", second="linear_62")
    model = ir.load(path)
    note = rename_ports(model)
    assert note == (
        "its inputs and outputs renamed: segments_of_text, weights, position_ids, labels, loss, clone_73, linear_62 → "
        "input_ids, position_ids, start_logits, end_logits"
    )
    onnx.checker.check_model(ir.to_proto(model))
    assert rename_ports(model) == ""


def test_a_session_of_transformers_names_stays_as_it_is(tmp_path: Path) -> None:
    onnx.save(tf_mobilebert(layers=1, networks=1), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert named_session(session, tmp_path / "m.onnx") is session
