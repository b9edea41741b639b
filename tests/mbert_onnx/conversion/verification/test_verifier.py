"""`verify`: files that are the same model, files that are not, and inputs that cannot be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import pytest
import torch
from exported_checkpoints import Exports
from small_checkpoints import put_config, put_tensors, save_small, tensors_of

from graphs.execution.error_bounds import FLOAT32_FACTOR
from graphs.execution.inputs.feeds import verified_feeds
from graphs.execution.inputs.limits import InputLimits
from mbert_onnx import verify
from mbert_onnx.conversion.reports import Verdict
from mbert_onnx.errors import BundleError, CheckpointError, MbertError, UsageError, VerificationError

# The limits of a small model.
SMALL = InputLimits(vocab_size=101, lengths=range(1, 41))


class Example(Protocol):
    folder: Path
    model: Any


Bundles = Callable[..., Example]


def spoiled(model: Path, to: Path, factor: float) -> Path:
    """The file with one weight of the last layer multiplied."""
    proto = onnx.load(model)
    tensor = next(t for t in proto.graph.initializer if "layer.1.output.bottleneck" in t.name)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[0] *= factor
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, to)
    return to


# The same model


def test_a_bundle_and_its_checkpoint(exported: Exports) -> None:
    found = exported()
    verdict = verify(found.bundle, found.checkpoint)
    assert verdict.passed
    assert verdict.error <= verdict.bar
    assert set(verdict.errors) == {"start_logits", "end_logits"}
    assert verdict.torch_error is not None
    assert (verdict.lengths, verdict.batches) == ([1, 23, 40], [1, 3])


@pytest.mark.parametrize("task", ["fill-mask", "multiple-choice", "feature-extraction"])
def test_a_bundle_s_task_is_the_checkpoint_s(task: str, exported: Exports) -> None:
    found = exported(task)
    assert verify(found.bundle, found.checkpoint).passed
    assert verify(found.model, found.checkpoint).passed


def test_a_fixed_shape_of_int32(exported: Exports) -> None:
    found = exported(target="mobile", seq_len=16)
    verdict = verify(found.bundle, found.checkpoint)
    assert verdict.passed
    assert (verdict.lengths, verdict.batches) == ([16], [1])


def test_two_bundles_are_tried_in_the_shape_that_fits_both(exported: Exports) -> None:
    dynamic, mobile = exported(), exported(target="mobile", seq_len=16)
    for a, b in [(dynamic, mobile), (mobile, dynamic)]:
        verdict = verify(a.bundle, b.bundle)
        assert verdict.passed
        assert verdict.torch_error is None
        assert (verdict.lengths, verdict.batches) == ([16], [1])


def test_transformers_own_export_is_the_same_model(runtime_bundle: Bundles, tmp_path: Path) -> None:
    example = runtime_bundle("question-answering")
    example.model.save_pretrained(tmp_path)
    assert verify(example.folder / "onnx" / "model.onnx", tmp_path).passed
    assert verify(example.folder, example.folder).error == 0.0


def test_a_file_on_its_own_needs_no_config(runtime_bundle: Bundles, tmp_path: Path) -> None:
    shutil.copy(runtime_bundle("question-answering", batch=2).folder / "onnx" / "model.onnx", tmp_path)
    verdict = verify(tmp_path / "model.onnx", tmp_path / "model.onnx")
    assert verdict.error == 0.0
    assert set(verdict.errors) == {"start_logits", "end_logits"}
    assert (verdict.lengths, verdict.batches) == ([32], [2])


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "multiple-choice"])
def test_a_lone_file_s_task_is_inferred_from_its_outputs(task: str, exported: Exports, tmp_path: Path) -> None:
    """All have `logits`; their axes differ."""
    shutil.copy(exported(task).model, tmp_path / "x.onnx")
    verdict = verify(tmp_path / "x.onnx", exported(task).bundle)
    assert verdict.error == 0.0
    assert verdict.tokens > 0


# Another model


def test_one_wrong_weight_is_found(exported: Exports, tmp_path: Path) -> None:
    found = exported()
    wrong = spoiled(found.model, tmp_path / "wrong.onnx", 1.1)
    assert not verify(wrong, found.checkpoint).passed
    assert not verify(wrong, found.bundle).passed
    assert not verify(found.bundle, wrong).passed


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_are_refused(factor: float, exported: Exports, tmp_path: Path) -> None:
    """Those of a file that is compared with itself, too."""
    found = exported()
    wrong = spoiled(found.model, tmp_path / "wrong.onnx", factor)
    for model, against in ((wrong, found.checkpoint), (wrong, found.bundle), (found.bundle, wrong), (wrong, wrong)):
        with pytest.raises(
            VerificationError, match=r"^wrong\.onnx: start_logits is NaN or infinite in .* values on sample"
        ):
            verify(model, against)


def test_another_checkpoint(exported: Exports, tmp_path: Path) -> None:
    found = exported()
    shutil.copytree(found.checkpoint, tmp_path, dirs_exist_ok=True)
    put_tensors(tmp_path, {name: 1.01 * tensor for name, tensor in tensors_of(tmp_path).items()})
    verdict = verify(found.bundle, tmp_path)
    assert not verdict.passed
    assert verdict.error > 1e-3


@pytest.mark.parametrize("other", ["checkpoint", "bundle", "model"])
def test_another_task(other: str, exported: Exports) -> None:
    with pytest.raises(MbertError, match=r"needs|missing for|input_ids of shape|expected") as caught:
        verify(exported().model, getattr(exported("multiple-choice"), other))
    assert "\n" not in str(caught.value)


def test_outputs_of_another_task(exported: Exports) -> None:
    with pytest.raises(VerificationError, match="has outputs logits; question-answering needs start_logits, end_logi"):
        verify(exported().bundle, exported("token-classification").model)


def test_files_that_have_no_output_of_the_task_are_not_the_same(exported: Exports) -> None:
    """There would be nothing in which they differ."""
    model = exported("token-classification").model
    with pytest.raises(VerificationError, match="has outputs logits; question-answering needs"):
        verify(model, model, task="question-answering")


def test_an_unknown_task(exported: Exports) -> None:
    with pytest.raises(UsageError, match="No task is called 'translation'"):
        verify(exported().model, exported().model, task="translation")


def test_another_number_of_labels(exported: Exports, tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertForTokenClassification", vocab_size=101, num_labels=5)
    with pytest.raises(VerificationError, match=r"logits has the shape \[1, 1, 2\], expected \[1, 1, 5\]"):
        verify(exported("token-classification").bundle, tmp_path)


def test_a_checkpoint_with_more_words(exported: Exports, tmp_path: Path) -> None:
    save_small(tmp_path, vocab_size=5000)
    with pytest.raises(VerificationError, match=r"takes token ids below \d+, and the checkpoint has 5000, so"):
        verify(exported().bundle, tmp_path)


def test_a_checkpoint_with_fewer_positions(exported: Exports, tmp_path: Path) -> None:
    save_small(tmp_path, vocab_size=101, max_position_embeddings=8)
    with pytest.raises(VerificationError, match=r"model.onnx takes 16 tokens, and the checkpoint has 8 positions, so"):
        verify(exported(target="mobile", seq_len=16).bundle, tmp_path)


# Not a model


def graph_of(inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> onnx.ModelProto:
    """Writes a file with these names and shapes; its outputs are meaningless."""
    info = onnx.helper.make_tensor_value_info
    zero = onnx.helper.make_tensor("zero", onnx.TensorProto.FLOAT, [1], [0.0])
    nodes = [onnx.helper.make_node("Identity", ["zero"], [name]) for name in outputs]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [info(name, onnx.TensorProto.INT64, shape) for name, shape in inputs.items()],
        [info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [zero],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("against", ["checkpoint", "model"])
def test_inputs_of_something_else(against: str, exported: Exports, tmp_path: Path) -> None:
    onnx.save(graph_of({"pixels": [1, 2]}, {"start_logits": [1], "end_logits": [1]}), tmp_path / "x.onnx")
    with pytest.raises((BundleError, UsageError), match=r"x.onnx has (the inputs pixels, expected input_ids|outputs)"):
        verify(tmp_path / "x.onnx", getattr(exported(), against))


def test_outputs_of_something_else(exported: Exports, tmp_path: Path) -> None:
    onnx.save(graph_of({"input_ids": [1, 2]}, {"scores": [1]}), tmp_path / "x.onnx")
    with pytest.raises(UsageError, match=r"x.onnx has outputs scores, which no known task has"):
        verify(tmp_path / "x.onnx", exported().model)
    with pytest.raises(VerificationError, match=r"x.onnx has outputs scores; question-answering needs"):
        verify(tmp_path / "x.onnx", exported().checkpoint)


@pytest.mark.parametrize("content", [b"", b"not a protobuf", b"\x08\x08"])
def test_a_corrupt_file(content: bytes, exported: Exports, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    for a, b in [(tmp_path / "x.onnx", exported().checkpoint), (exported().bundle, tmp_path / "x.onnx")]:
        with pytest.raises(
            VerificationError, match=r"onnxruntime cannot load .*/x.onnx: .* Export it again\.$"
        ) as caught:
            verify(a, b)
        assert "\n" not in str(caught.value)


def test_half_a_file(exported: Exports, tmp_path: Path) -> None:
    whole = exported().model.read_bytes()
    (tmp_path / "x.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VerificationError, match=r"onnxruntime cannot load .*/x.onnx: .* Export it again\.$"):
        verify(tmp_path / "x.onnx", exported().checkpoint)


def test_what_is_not_there(exported: Exports, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no.onnx does not exist; give a bundle or an .onnx file"):
        verify(tmp_path / "no.onnx", exported().checkpoint)
    with pytest.raises(BundleError, match=r"has no onnx/model.onnx"):
        verify(tmp_path, exported().checkpoint)
    with pytest.raises(CheckpointError, match="no such folder"):
        verify(exported().bundle, tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"has no config.json"):
        verify(exported().bundle, tmp_path)


def test_a_checkpoint_that_is_broken(exported: Exports, tmp_path: Path) -> None:
    shutil.copytree(exported().checkpoint, tmp_path, dirs_exist_ok=True)
    put_config(tmp_path, num_attention_heads=5)
    with pytest.raises(CheckpointError, match="5 heads do not divide"):
        verify(exported().bundle, tmp_path)


# What is tried


def test_every_kind_of_text_is_tried() -> None:
    feeds = list(verified_feeds(SMALL, has_choices=False, seed=0))
    sizes = {feed["input_ids"].shape for feed in feeds}
    assert sizes == {(batch, length) for batch in (1, 3) for length in (1, 23, 40)}
    masks = [feed["attention_mask"] for feed in feeds]
    assert any(mask.all() and mask.shape == (3, 23) for mask in masks)
    assert any(not mask.all() and mask.any() for mask in masks)
    assert any((mask.sum(-1) == 0).any() for mask in masks)  # a row of nothing but padding
    assert all((np.diff(mask) <= 0).all() for mask in masks)  # padding is at the end
    assert {0, 1} == {int(t) for feed in feeds for t in np.unique(feed["token_type_ids"])}
    assert max(int(feed["input_ids"].max()) for feed in feeds) == 100


def test_long_models_are_tried_at_their_full_length() -> None:
    feeds = list(verified_feeds(replace(SMALL, lengths=range(1, 201)), has_choices=False, seed=0))
    assert [feed["input_ids"].shape for feed in feeds if feed["input_ids"].shape[1] == 200] == [(1, 200)]


def test_one_segment_is_enough_for_a_model_that_has_one() -> None:
    feeds = verified_feeds(replace(SMALL, segments=1), has_choices=False, seed=0)
    assert all((feed["token_type_ids"] == 0).all() for feed in feeds)


def test_fixed_shapes_are_padded_to() -> None:
    fixed = replace(SMALL, lengths=range(30, 31), batch=2, choices=4)
    feeds = list(verified_feeds(fixed, has_choices=True, seed=0))
    assert {feed["input_ids"].shape for feed in feeds} == {(2, 4, 30)}
    assert {1, 23, 30} <= {int(feed["attention_mask"].sum(-1).max()) for feed in feeds}


def test_the_seed_chooses_the_inputs() -> None:
    def ids(seed: int) -> list[int]:
        feeds = verified_feeds(SMALL, has_choices=False, seed=seed)
        return [int(i) for feed in feeds for i in feed["input_ids"].flat]

    assert ids(1) == ids(1) != ids(2)


def test_torch_is_judged_with_its_own_rounding(exported: Exports) -> None:
    """Its error is that of float32, not 0: it must have run before the model became float64."""
    verdict = verify(exported().bundle, exported().checkpoint)
    assert verdict.torch_error is not None
    assert 1e-8 < verdict.torch_error < 1e-4


# The verdict


def verdict(error: float, torch_error: float | None = 0.0, bar: float = 1e-5) -> Verdict:
    return Verdict(error, torch_error, 1.0, bar, {"logits": error}, [1, 23], [1], 24, decisions=42)


def test_a_verdict_passes_up_to_its_bound() -> None:
    assert verdict(1e-5).passed
    assert not verdict(1.1e-5).passed
    assert not verdict(float("nan")).passed


def test_a_verdict_names_its_judge() -> None:
    assert str(verdict(2e-6, 3e-6)).startswith(
        "centred error 2.0e-06 against float64 (torch float32 3.0e-06, bound 1.0e-05), 100.0 % of 42 decisions equal; "
        "24 tokens, lengths 1, 23, batches 1"
    )
    assert "against the other file (bound" in str(verdict(2e-6, None))


def test_a_verdict_is_json() -> None:
    report = json.loads(json.dumps(verdict(2e-6).as_dict()))
    assert report["passed"] is True
    assert report["errors"] == {"logits": 2e-6}


def test_the_bar_follows_torch_s_own_error(exported: Exports, tmp_path: Path) -> None:
    """A model that is hard for float32: its stream is a thousand times larger than what its outputs vary by."""
    found = exported()
    shutil.copytree(found.checkpoint, tmp_path, dirs_exist_ok=True)
    tensors = tensors_of(tmp_path)
    tensors["mobilebert.encoder.layer.1.output.bottleneck.LayerNorm.bias"] += 3000 * torch.ones(64)
    put_tensors(tmp_path, tensors)
    hard = verify(found.bundle, tmp_path)
    assert hard.torch_error is not None
    assert hard.torch_error > 2.5e-6
    assert hard.bar == pytest.approx(FLOAT32_FACTOR * hard.torch_error)
