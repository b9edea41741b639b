"""`export` from end to end: the content of bundles, and that a failure leaves none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import transformers
from exported_checkpoints import Exported, Exports
from small_checkpoints import assert_file_answers_as, names_in, put_tensors, save_small, tensors_of
from small_models import SWITCHES
from typer.testing import CliRunner

from graphs import pipeline
from graphs.execution.error_bounds import FLOAT32_FACTOR
from graphs.model.opsets import newest_opset
from mbert_onnx import export, load
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.cli.application import app
from mbert_onnx.conversion import exporter
from mbert_onnx.conversion.reports import ExportReport
from mbert_onnx.conversion.tracing import trace
from mbert_onnx.errors import BundleError, CheckpointError, UsageError, VerificationError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.presets import PRESETS
from mbert_onnx.text.tasks import TASKS, Task

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
SLOW_SWITCHES = ("no_bottleneck", "bottleneck_attention")
each_switch = pytest.mark.parametrize(
    "switch", ["layer_norm", *(pytest.param(name, marks=pytest.mark.full) for name in SLOW_SWITCHES)]
)

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def session(exported: Exported) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(exported.model, providers=["CPUExecutionProvider"])


def shapes(nodes: Any) -> dict[str, tuple[Any, ...]]:
    return {node.name: tuple(node.shape) for node in nodes}


def assert_answers_as_transformers(exported: Exported) -> None:
    assert_file_answers_as(exported.theirs, exported.model)


# What is in a bundle


@each_task
def test_a_bundle_answers_as_transformers_does(task: Task, exported: Exports) -> None:
    assert_answers_as_transformers(exported(task.name))


@each_task
def test_names_and_axes_are_those_of_the_task(task: Task, exported: Exports) -> None:
    bundle = exported(task.name).bundle
    found = session(exported(task.name))
    assert shapes(found.get_inputs()) == dict.fromkeys(INPUTS, task.input_axes)
    assert {node.type for node in found.get_inputs()} == {"tensor(int64)"}
    outputs = shapes(found.get_outputs())
    assert list(outputs) == list(task.output_names)
    sizes = {"labels": 2, "hidden": 64, "vocab": json.loads((bundle / "config.json").read_text())["vocab_size"]}
    for output in task.outputs:
        axes = tuple(sizes.get(axis, axis) for axis in output.axes)
        assert outputs[output.name] == axes, output.name


@each_task
def test_the_metadata_have_the_task_and_the_measured_accuracy(task: Task, exported: Exports) -> None:
    found = exported(task.name)
    config = json.loads((found.bundle / "config.json").read_text())
    assert config["architectures"] == [task.architecture]
    metadata = found.metadata
    assert metadata["task"] == task.name
    verdict = metadata["verification"]
    assert verdict["passed"] is True
    assert verdict["error"] <= verdict["bar"] == pytest.approx(max(1e-5, FLOAT32_FACTOR * verdict["torch_error"]))
    assert list(verdict["errors"]) == list(task.output_names)
    assert (verdict["lengths"], verdict["batches"]) == ([1, 23, 40], [1, 3])


@each_task
def test_files_are_those_that_onnx_calls_valid(task: Task, exported: Exports) -> None:
    model = onnx.load(exported(task.name).model)
    onnx.checker.check_model(model, full_check=True)
    assert {(o.domain, o.version) for o in model.opset_import} == {("", 18), ("mbert", 1)}
    assert {function.name for function in model.functions} == {
        "BottleneckAttention",
        "StackedFFN",
        "Encoder",
        "Embeddings",
    }
    assert model.ir_version == 8
    assert model.producer_name == "mbert-onnx"


def test_the_files_of_a_bundle(exported: Exports) -> None:
    found = exported()
    files = {str(path.relative_to(found.bundle)) for path in found.bundle.rglob("*") if path.is_file()}
    assert {"onnx/model.onnx", "config.json", "mbert_onnx.json", "tokenizer.json", "tokenizer_config.json"} <= files
    assert (found.bundle / "tokenizer.json").read_bytes() == (found.checkpoint / "tokenizer.json").read_bytes()


def test_what_the_metadata_record(exported: Exports) -> None:
    metadata = exported().metadata
    assert metadata["checkpoint"] == "question-answering-default"  # the folder's name, and not one machine's paths
    assert (metadata["target"], metadata["opset"], metadata["seed"], metadata["restarts"]) == ("cpu", 18, 0, 0)
    assert metadata["shapes"] == {"batch": None, "choices": None, "sequence": None}
    assert metadata["versions"]["torch"] == torch.__version__
    assert metadata["versions"]["transformers"] == transformers.__version__
    stages = [stage for stage in pipeline.STAGES if "cpu" in stage.targets and "fp32" in stage.precisions]
    assert [step["name"] for step in metadata["passes"]] == [stage.name for stage in stages]
    folding = next(step for step in metadata["passes"] if step["name"] == "fold-affine")
    assert folding["nodes_before"] - folding["nodes_after"] > 20
    assert folding["macs_saved"] == 0  # it removes element-wise products, and no matrix product
    assert folding["error"] <= 1e-5
    assert metadata["graph"]["node_count"] == len(onnx.load(exported().model).graph.node)


def test_a_bundle_is_loaded_by_the_runtime(exported: Exports) -> None:
    model = load(exported().bundle)
    assert model.answer("Who wrote it?", "Ada wrote the first program in London.")[0].answer


# Several precisions


@pytest.mark.usefixtures("traced_once")
def test_precisions_of_one_checkpoint_side_by_side(
    exported: Exports, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, bundle = exported(), tmp_path / "bundle"
    shutil.copytree(found.bundle, bundle)
    (bundle / "notes.md").write_text("mine")
    # No agreement is asked for: one near tie of random weights falls differently on another processor.
    report = export(found.checkpoint, bundle, precision="fp16", calibrate=texts, min_agreement=0)
    assert report.beside == ["onnx/model.onnx"]
    for file, precision in ((bundle, "fp32"), (report.model, "fp16")):
        model = load(file)
        assert model.answer("Who wrote it?", "Ada wrote the first program in London.")[0].answer
        assert model.bundle.metadata is not None
        assert model.bundle.metadata["precision"] == precision
        assert model.bundle.metadata["verification"]
    assert (bundle / "onnx" / "model.onnx").read_bytes() == found.model.read_bytes()
    assert (bundle / "notes.md").read_text() == "mine"
    # Refused before the work: a precision that is there, and another checkpoint, whether its precision is there or not.
    monkeypatch.setattr(exporter, "trace", None)
    with pytest.raises(BundleError, match=r"model_fp16\.onnx exists; pass --overwrite to replace it"):
        export(found.checkpoint, bundle, precision="fp16", calibrate=texts)
    for precision in ("fp16", "int8"):
        with pytest.raises(BundleError, match=r"a bundle of another checkpoint \(different: weights, config\); pass"):
            export(found.checkpoint, bundle, task="feature-extraction", precision=precision, calibrate=texts)
    other = tmp_path / "other"
    shutil.copytree(found.checkpoint, other)
    (other / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    with pytest.raises(BundleError, match=r"\(different: tokenizer\)"):
        export(other, bundle, precision="int8", calibrate=texts)
    put_tensors(other, {name: tensor * 1.01 for name, tensor in tensors_of(other).items()})
    with pytest.raises(BundleError, match=r"\(different: weights, tokenizer\)"):
        export(other, bundle, precision="int8", calibrate=texts)


@pytest.mark.usefixtures("traced_once")
def test_overwrite_lists_what_it_left_alone(exported: Exports, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(exported("text-classification").bundle, bundle)
    for name in ("notes.md", "onnx/model_q4.onnx"):
        (bundle / name).write_text("mine")
    arguments = ["export", str(exported().checkpoint), "--output", str(bundle), "--overwrite"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "left alone notes.md, onnx/model_q4.onnx, which export did not write" in done.stdout
    assert load(bundle).task.name == "question-answering"
    assert (bundle / "notes.md").read_text() == "mine"
    again = CliRunner().invoke(app, [*arguments, "--json"])  # the same checkpoint: nothing else could be gone
    assert json.loads(again.stdout)["precision"] == "fp32"
    assert names_in(bundle / "onnx") == ["model.onnx", "model_q4.onnx"]


def test_a_checkpoint_without_tokenizer_makes_a_bundle_without(tmp_path: Path) -> None:
    save_small(tmp_path / "model", num_hidden_layers=1)
    report = export(tmp_path / "model", tmp_path / "bundle")
    assert not list(tmp_path.glob("bundle/*token*"))
    assert [note for note in report.notes if "no tokenizer, so `run` cannot read text" in note]
    assert json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())["notes"] == report.notes


# NoNorm is gone


def float_nodes(exported: Exported, op_type: str) -> int:
    """Counts the nodes of a type that compute with floats, and not with shapes."""
    model = ir.load(exported.model)
    onnx_model = onnx.shape_inference.infer_shapes(ir.to_proto(model))
    types = {value.name: value.type.tensor_type.elem_type for value in onnx_model.graph.value_info}
    types |= {value.name: value.type.tensor_type.elem_type for value in onnx_model.graph.output}
    return sum(
        types[node.output[0]] == onnx.TensorProto.FLOAT for node in onnx_model.graph.node if node.op_type == op_type
    )


@pytest.mark.parametrize(
    "task", [task for task in TASKS if "last_hidden_state" not in task.output_names], ids=lambda task: task.name
)
def test_no_norm_is_left(task: Task, exported: Exports) -> None:
    found = exported(task.name, functions=False)
    # (1 − mask) · lowest, and nothing else.
    assert float_nodes(found, "Mul") == 1
    # Segments and positions, the sum of which meets the words in a Gemm; the mask in each of two layers.
    assert float_nodes(found, "Add") == 3


def test_hidden_states_are_the_one_place_where_a_norm_is_written_out(exported: Exports) -> None:
    found = exported("feature-extraction", functions=False)
    assert (float_nodes(found, "Mul"), float_nodes(found, "Add")) == (2, 4)


def test_phones_get_residuals_outside_of_gemm(exported: Exports) -> None:
    found = exported(target="mobile", seq_len=16)
    assert float_nodes(found, "Mul") == 1
    model = onnx.load(found.model)
    assert not model.functions  # nor can they take operators of other domains
    constants = {tensor.name for tensor in model.graph.initializer}
    gemms = [node for node in model.graph.node if node.op_type == "Gemm"]
    assert gemms
    assert all(name in constants for node in gemms for name in node.input[1:])


@pytest.mark.parametrize(
    "kind", ["zeros", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("negatives", "tiny"))]
)
def test_scales_that_cannot_be_divided_by(kind: str, tmp_path: Path) -> None:
    save_small(tmp_path / "model")
    tensors = tensors_of(tmp_path / "model")
    for name, gamma in tensors.items():
        if name.endswith("LayerNorm.weight"):
            some = gamma[::5]
            some.copy_({"zeros": 0 * some, "negatives": -some, "tiny": 1e-30 * some}[kind])
    put_tensors(tmp_path / "model", tensors)
    report = export(tmp_path / "model", tmp_path / "bundle")
    assert report.verdict.passed
    assert report.restarts == 0 if kind == "negatives" else report.restarts > 0


# Every switch


def test_hidden_states_and_attentions_are_outputs_where_the_config_asks(exported: Exports) -> None:
    found = exported(switch="outputs")
    outputs = shapes(session(found).get_outputs())
    assert list(outputs) == [
        *("start_logits", "end_logits"),
        *(f"hidden_states.{n}" for n in range(3)),
        *(f"attentions.{n}" for n in range(2)),
    ]
    assert outputs["hidden_states.0"] == ("batch", "sequence", 64)
    assert outputs["attentions.1"] == ("batch", 4, "sequence", "sequence")
    assert_answers_as_transformers(found)


@each_switch
def test_some_switches(switch: str, exported: Exports) -> None:
    assert_answers_as_transformers(exported(switch=switch))


def test_an_untied_decoder(exported: Exports) -> None:
    assert_answers_as_transformers(exported("fill-mask", "untied"))


@pytest.mark.full
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("task", ["question-answering", "feature-extraction", "pretraining"])
def test_every_switch(task: str, switch: str, exported: Exports) -> None:
    assert_answers_as_transformers(exported(task, switch))


# Shapes, targets, opsets


def test_mobile_has_fixed_shapes_and_int32(exported: Exports) -> None:
    found = exported(target="mobile", seq_len=16)
    ours = session(found)
    assert shapes(ours.get_inputs()) == dict.fromkeys(INPUTS, (1, 16))
    assert {node.type for node in ours.get_inputs()} == {"tensor(int32)"}
    assert shapes(ours.get_outputs()) == {"start_logits": (1, 16), "end_logits": (1, 16)}
    assert found.metadata["shapes"] == {"batch": 1, "choices": None, "sequence": 16}
    assert "Shape" not in found.metadata["graph"]["nodes"]
    assert load(found.bundle).answer("Who wrote it?", "Ada wrote the first program in London.")


def test_mobile_answers_as_the_dynamic_file(exported: Exports) -> None:
    ids = np.arange(5, 21)[None]
    a, b = (load(found.bundle).logits(ids) for found in (exported(), exported(target="mobile", seq_len=16)))
    assert np.allclose(a["start_logits"], b["start_logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_mobile_multiple_choice_has_four_choices(exported: Exports) -> None:
    found = exported("multiple-choice", target="mobile", seq_len=8)
    assert shapes(session(found).get_inputs()) == dict.fromkeys(INPUTS, (1, 4, 8))


@pytest.mark.full
def test_a_fixed_number_of_choices(exported: Exports) -> None:
    found = exported("multiple-choice", choices=3)
    assert shapes(session(found).get_inputs()) == dict.fromkeys(INPUTS, ("batch", 3, "sequence"))
    assert shapes(session(found).get_outputs()) == {"logits": ("batch", 3)}


def test_a_length_of_one(exported: Exports) -> None:
    found = exported(seq_len=1)
    assert shapes(session(found).get_inputs()) == dict.fromkeys(INPUTS, ("batch", 1))
    assert found.metadata["verification"]["lengths"] == [1]


@pytest.mark.full
@pytest.mark.parametrize(
    ("options", "shape"), [({"batch": 2}, (2, "sequence")), ({"batch": 1, "seq_len": 40}, (1, 40))]
)
def test_fixed_sizes(options: dict[str, int], shape: tuple[Any, ...], exported: Exports) -> None:
    ours = session(exported(**options))
    assert shapes(ours.get_inputs()) == dict.fromkeys(INPUTS, shape)
    assert shapes(ours.get_outputs()) == {"start_logits": shape, "end_logits": shape}


def test_the_newest_opset(exported: Exports) -> None:
    found = exported(opset=newest_opset())
    assert found.metadata["graph"]["opset"] == newest_opset() > 18
    assert_answers_as_transformers(found)


@pytest.mark.full
def test_the_web_target(exported: Exports) -> None:
    assert_answers_as_transformers(exported(target="web"))


@pytest.mark.full
def test_a_random_model_of_another_task_reads_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"num_hidden_layers": 1, "vocab_size": 300, "hidden_size": 64, "intra_bottleneck_size": 32}
    monkeypatch.setitem(PRESETS, "tiny", small)
    report = export("random:tiny", tmp_path / "bundle", task="sentiment", seed=3)
    assert report.task == "text-classification"
    assert "random weights: its answers mean nothing" in report.notes
    assert [label.label for label in load(report.path).classify("any text").labels]
    assert json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())["checkpoint"] == "random:tiny"


# What is refused


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seq_len": 0}, "--seq-len is 0; expected 1 to 1,048,576"),
        ({"seq_len": -1}, "--seq-len is -1; expected 1 to 1,048,576"),
        ({"seq_len": 100_000}, "--seq-len is 100000; .* has 40 positions: pass at most 40"),
        ({"batch": 0}, "--batch is 0; expected 1 to 1,024"),
        ({"batch": 10**30}, "--batch is 1(0+); expected 1 to 1,024"),
        ({"choices": 10**12}, "--choices is 1(0+); expected 1 to 1,024"),
        ({"choices": 2}, "--choices is for multiple-choice; .* is question-answering: leave it out"),
        ({"target": "gpu"}, "--target is 'gpu'; expected one of cpu, mobile, web"),
        ({"target": "mobile"}, "--target mobile needs a fixed length"),
        ({"opset": 17}, "opset 17 is not possible: graphs here start at 18"),
        ({"opset": 99}, "opset 99 is not possible"),
        ({"task": "translation"}, "No task is called 'translation'"),
    ],
    ids=str,
)
def test_options_that_are_refused(
    options: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "trace", pytest.fail)  # what takes long comes after
    save_small(tmp_path / "model", num_hidden_layers=1)
    with pytest.raises(UsageError, match=says) as caught:
        export(tmp_path / "model", tmp_path / "bundle", **options)
    assert caught.value.exit_code == 2
    assert names_in(tmp_path) == ["model"]


def test_the_output_is_checked_before_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("x")
    with pytest.raises(Exception, match="exists and is not a folder"):
        export("no/such/checkpoint", tmp_path / "bundle")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Callable[..., ir.Model]]:
    """A checkpoint, and a replacement of `trace` that returns its graph, traced once."""
    folder = tmp_path_factory.mktemp("traced")
    save_small(folder)
    loaded = load_checkpoint(folder)
    proto = ir.to_proto(trace(loaded.model, loaded.task, Shapes()))
    return folder, lambda *_, **__: ir.from_proto(proto)


def spoiled(spoil: Callable[[ir.Model], None]) -> Callable[..., Any]:
    """`optimize`, with a mistake in it."""

    def optimize(*args: Any, **kwargs: Any) -> Any:
        outcome = pipeline.optimize(*args, **kwargs)
        spoil(outcome.model)
        return outcome

    return optimize


def one_weight(model: ir.Model) -> None:
    """Increases one weight of the last layer's output bottleneck by a tenth."""
    value = next(v for name, v in model.graph.initializers.items() if "layer.1.output.bottleneck" in name)
    assert value.const_value is not None
    array = value.const_value.numpy().copy()
    array[0, 0] *= 1.1
    value.const_value = ir.tensor(array, name=value.name)


def swapped_outputs(model: ir.Model) -> None:
    first, second = model.graph.outputs
    model.graph.outputs[:] = [second, first]
    first.name, second.name = "x", first.name
    first.name = "end_logits"


@pytest.fixture
def export_spoiled(
    traced: tuple[Path, Callable[..., ir.Model]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[ir.Model], None]], ExportReport]:
    """Exports to `bundle` with a mistake in the optimised graph."""

    def run(spoil: Callable[[ir.Model], None]) -> ExportReport:
        monkeypatch.setattr(exporter, "trace", traced[1])
        monkeypatch.setattr(exporter, "optimize", spoiled(spoil))
        return export(traced[0], tmp_path / "bundle")

    return run


Spoiled = Callable[[Callable[[ir.Model], None]], ExportReport]


@pytest.mark.parametrize("spoil", [one_weight, swapped_outputs])
def test_a_graph_that_is_wrong_is_not_written(
    spoil: Callable[[ir.Model], None], export_spoiled: Spoiled, tmp_path: Path
) -> None:
    with pytest.raises(VerificationError, match=r"not the same as the model, nothing is written: centred error"):
        export_spoiled(spoil)
    assert names_in(tmp_path) == []


def test_a_graph_that_onnxruntime_refuses_is_not_written(export_spoiled: Spoiled, tmp_path: Path) -> None:
    def unknown_operator(model: ir.Model) -> None:
        next(node for node in model.graph if node.op_type == "Gemm").op_type = "Gémm"

    with pytest.raises(VerificationError, match=r"model.onnx is not loaded by onnxruntime: .*") as caught:
        export_spoiled(unknown_operator)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_graph_in_which_nothing_is_spoiled_is_written(export_spoiled: Spoiled) -> None:
    """Control: without a mistake, the tests above write a bundle."""
    assert export_spoiled(lambda _: None).verdict.passed


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_weights_that_overflow_are_reported(tmp_path: Path) -> None:
    save_small(tmp_path / "model")
    put_tensors(tmp_path / "model", {name: 1e4 * tensor for name, tensor in tensors_of(tmp_path / "model").items()})
    with pytest.raises(CheckpointError, match=r"^the checkpoint's .* is NaN or infinite in .* in torch's float32, too"):
        export(tmp_path / "model", tmp_path / "bundle")
    assert names_in(tmp_path) == ["model"]


# Full size

PEAK = "next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))"


@pytest.mark.full
def test_the_paper_s_model(tmp_path: Path) -> None:
    bundle = str(tmp_path / "bundle")
    code = f"from mbert_onnx import export; export('random', {bundle!r}, functions=False); print({PEAK})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3e6  # kB
    metadata = json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())
    graph, verdict = metadata["graph"], metadata["verification"]
    assert graph["node_count"] <= 800
    assert graph["nodes"]["Mul"] == 1
    assert graph["nodes"]["Add"] == 25  # positions; the mask in each layer
    assert metadata["restarts"] == 0
    assert verdict["error"] <= max(1e-5, FLOAT32_FACTOR * verdict["torch_error"])
    assert verdict["lengths"] == [1, 23, 128, 512]
    assert verdict["agreement"] > 0.98
    assert load(tmp_path / "bundle").answer("who?", "ada wrote it")


@pytest.mark.full
def test_the_paper_s_model_for_phones(tmp_path: Path) -> None:
    report = export("random", tmp_path / "bundle", target="mobile", seq_len=128)
    ours = onnxruntime.InferenceSession(report.model, providers=["CPUExecutionProvider"])
    assert shapes(ours.get_inputs()) == dict.fromkeys(INPUTS, (1, 128))
    assert {node.type for node in ours.get_inputs()} == {"tensor(int32)"}
    assert report.census.nodes["Mul"] == 1
    assert report.restarts == 0


@pytest.mark.full
@pytest.mark.parametrize("task", ["feature-extraction", "fill-mask"])
def test_the_paper_s_smaller_model(task: str, tmp_path: Path) -> None:
    report = export("random:tiny", tmp_path / "bundle", task=task)
    assert report.verdict.passed
    assert report.restarts == 0
