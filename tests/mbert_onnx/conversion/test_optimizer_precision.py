"""`optimize --precision`: third-party files in fp16 and int8, as accurate as `export`'s of the same checkpoint."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
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
from onnx import TensorProto, helper, numpy_helper
from small_checkpoints import names_in
from text_encoders import WORDS
from third_party_exports import export_with_optimum, export_with_torch_export, export_with_torchscript
from typer.testing import CliRunner

from graphs import pipeline
from graphs.errors import GraphError
from mbert_onnx import optimize
from mbert_onnx.bundles.model_file import open_session
from mbert_onnx.cli.application import app
from mbert_onnx.conversion import optimizer
from mbert_onnx.errors import BundleError, MbertError, PrecisionError, UsageError, VerificationError
from mbert_onnx.text.tasks import task_named

QA = "question-answering"


@pytest.fixture(scope="module")
def lowered(exported: Exports, texts: Path) -> Callable[..., Exported]:
    """`export`'s bundle of the small checkpoint in a lower precision."""
    return lambda precision, task=QA: exported(task, precision=precision, calibrate=texts, min_agreement=0)


@pytest.fixture(scope="module")
def given(exported: Exports, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The small checkpoint as third-party tools export it, without a bundle; as `export` does, in one."""
    root = tmp_path_factory.mktemp("given")

    def make(exporter: str, task: str = QA, **options: Any) -> Path:
        path = root / f"{exporter}-{task}-{'-'.join(options)}.onnx"
        if exporter == "ours":
            return exported(task).model
        if path.exists():
            return path
        if exporter == "optimum":
            export_with_optimum(exported(task).checkpoint, path, task)
            return path
        write = {"torch.export": export_with_torch_export, "TorchScript": export_with_torchscript}[exporter]
        names = task_named(task).output_names
        write(exported(task).theirs, path, names, choices=task == "multiple-choice", **options)
        return path

    return make


def tensors(path: Path, kind: int) -> Counter[bytes]:
    """The values of all constants of a type, without their names."""
    found = [tensor for tensor in onnx.load(path).graph.initializer if tensor.data_type == kind]
    return Counter(bytes(str(list(tensor.dims)), "ascii") + numpy_helper.to_array(tensor).tobytes() for tensor in found)


def run(path: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


# Whoever exported it

FEW = [(exporter, QA) for exporter in ("TorchScript", "optimum", "ours")]
OTHERS = [("torch.export", QA), ("TorchScript", "fill-mask"), ("optimum", "multiple-choice"), ("ours", "pretraining")]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize(
    ("exporter", "task"), [*FEW, *(pytest.param(*case, marks=pytest.mark.full) for case in OTHERS)]
)
def test_it_is_what_export_writes(
    exporter: str,
    task: str,
    precision: str,
    given: Callable[..., Path],
    lowered: Callable[..., Exported],
    exported: Exports,
    texts: Path,
    tmp_path: Path,
) -> None:
    path, expected = tmp_path / "lower.onnx", lowered(precision, task)
    lone: dict[str, Any] = {} if exporter == "ours" else {"tokenizer": exported(task).checkpoint}
    report = optimize(given(exporter, task), path, precision=precision, calibrate=texts, min_agreement=0, **lone)
    assert report.damage is not None
    assert (report.precision, report.damage.precision, report.changed) == (precision, precision, True)
    measured = expected.metadata["verification"]
    assert report.damage.texts == measured["texts"] >= 8
    assert report.damage.tokens == measured["tokens"]
    assert report.damage.error == pytest.approx(measured["error"], rel=1e-3)
    assert report.damage.agreement == measured["agreement"]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {TensorProto.INT64}
    assert {value.type.tensor_type.elem_type for value in model.graph.output} == {TensorProto.FLOAT}
    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.INT8
    ours, theirs = tensors(path, kind), tensors(expected.model, kind)
    assert len(ours) == len(theirs) > 10
    assert precision != "int8" or ours == theirs
    assert Counter(node.op_type for node in model.graph.node) == Counter(
        node.op_type for node in onnx.load(expected.model).graph.node
    )
    assert names_in(tmp_path) == ["lower.onnx"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fixed_batches_of_int32(
    precision: str, runtime_bundle: Callable[..., Any], texts: Path, tmp_path: Path
) -> None:
    bundle = runtime_bundle("text-classification", batch=3, dtype=torch.int32).folder
    report = optimize(bundle, tmp_path / "lower.onnx", precision=precision, calibrate=texts, min_agreement=0)
    assert report.damage is not None
    assert report.damage.texts == 8  # of 24, in three feeds
    assert 0 < report.damage.error < 0.4
    feed = {node.name: np.ones((3, 32), np.int32) for node in onnx.load(tmp_path / "lower.onnx").graph.input}
    (logits,) = run(tmp_path / "lower.onnx", feed).values()
    assert (logits.shape, logits.dtype) == ((3, 2), np.float32)


def test_phones_take_int8_by_known_steps(exported: Exports, texts: Path, tmp_path: Path) -> None:
    bundle, path = exported(QA).model.parent.parent, tmp_path / "phone.onnx"
    report = optimize(bundle, path, target="mobile", precision="int8", calibrate=texts, min_agreement=0)
    assert report.damage is not None
    assert report.damage.error < 0.4
    assert report.plan is not None
    assert report.as_dict()["activations"]["error"] == report.plan.error
    kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert kinds["QuantizeLinear"] > 20
    assert not kinds["DynamicQuantizeLinear"]


def test_a_file_without_a_mask(runtime_bundle: Callable[..., Any], texts: Path, tmp_path: Path) -> None:
    bundle = runtime_bundle("question-answering", inputs=("input_ids",)).folder
    report = optimize(bundle, tmp_path / "lower.onnx", precision="int8", calibrate=texts, min_agreement=0)
    assert report.damage is not None
    assert 0 < report.damage.error < 0.4


def test_a_lone_file_defines_its_vocabulary_and_length(
    given: Callable[..., Path], exported: Exports, texts: Path, tmp_path: Path
) -> None:
    """The small model has 40 positions, and the contexts are longer than that together with the questions."""
    lines = [
        json.dumps({"question": f"who was {n}", "context": f"year {n} the game " * 12}) for n in WORDS.split()[:12]
    ]
    (tmp_path / "long.jsonl").write_text("\n".join(lines))
    options: dict[str, Any] = {"calibrate": tmp_path / "long.jsonl", "tokenizer": exported().checkpoint}
    report = optimize(given("TorchScript"), tmp_path / "lower.onnx", precision="fp16", min_agreement=0, **options)
    assert any("were cut to 40 tokens" in note for note in report.notes)


def test_layers_to_keep_stay_float32(exported: Exports, texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0, "functions": False}
    report = optimize(exported().bundle, tmp_path / "lower.onnx", keep_float=["layer.1"], **options)
    assert report.as_dict()["damage"]["keep_float"] == ["layer.1"]
    names = [v.name or "" for v in ir.load(report.path).graph.initializers.values() if v.dtype == ir.DataType.INT8]
    assert any("layer.0." in name for name in names)
    assert not any("layer.1." in name for name in names)


# What is refused


def spoiled(*args: Any, **kwargs: Any) -> Any:
    """`optimize`, with the largest float32 weight replaced in its result."""
    outcome = pipeline.optimize(*args, **kwargs)
    values = outcome.model.graph.initializers.values()
    weights = [(v, v.const_value) for v in values if v.const_value is not None and "qa_outputs" in (v.name or "")]
    value, tensor = max(weights, key=lambda weight: weight[1].nbytes)
    value.const_value = ir.tensor(-tensor.numpy()[::-1].copy(), name=value.name)
    return outcome


def test_too_much_damage_is_refused_with_the_worst_layers(
    exported: Exports, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer, "optimize_graph", spoiled)
    with pytest.raises(PrecisionError) as caught:
        optimize(exported().bundle, tmp_path / "lower.onnx", precision="fp16", calibrate=texts)
    line = str(caught.value)
    assert re.match(r"model\.onnx: fp16 has [\d.]+ % of \d+ decisions equal to float64's \(centred error ", line)
    assert "expected at least 99.0 %; nothing is written. The layers that cost most: " in line
    assert "Pass --keep-float " in line
    assert "\n" not in line
    assert names_in(tmp_path) == []


def of_random_weights(bundle: Path, copy: Path) -> Path:
    """Copies a bundle to one whose records say that its weights are random."""
    shutil.copytree(bundle, copy)
    metadata = json.loads((copy / "mbert_onnx.json").read_text())
    metadata["precisions"]["fp32"]["checkpoint"] = "random:tiny"
    (copy / "mbert_onnx.json").write_text(json.dumps({**metadata, "checkpoint": "random:tiny"}))
    return copy


def test_a_bundle_of_random_weights_is_reported_and_not_refused(
    exported: Exports, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = of_random_weights(exported().bundle, tmp_path / "bundle")
    monkeypatch.setattr(optimizer, "optimize_graph", spoiled)
    report = optimize(bundle, tmp_path / "lower.onnx", precision="fp16", calibrate=texts)
    assert report.damage is not None
    assert not report.damage.passed
    assert "random weights: the argmax is unstable, so fp16 is not refused for them" in report.notes


def test_numbers_that_are_not_finite_are_refused_for_random_weights_too(
    exported: Exports, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = of_random_weights(exported().bundle, tmp_path / "bundle")

    def broken(*args: Any, **kwargs: Any) -> Any:
        outcome = pipeline.optimize(*args, **kwargs)
        values = outcome.model.graph.initializers.values()
        value = next(v for v in values if v.dtype == ir.DataType.FLOAT16 and "qa_outputs" in (v.name or ""))
        assert value.const_value is not None
        value.const_value = ir.tensor(np.full_like(value.const_value.numpy(), np.nan), name=value.name)
        return outcome

    monkeypatch.setattr(optimizer, "optimize_graph", broken)
    with pytest.raises(
        PrecisionError, match=r"in fp16, start_logits and end_logits are NaN or infinite .* --keep-float"
    ):
        optimize(bundle, tmp_path / "lower.onnx", precision="fp16", calibrate=texts)
    assert names_in(tmp_path) == ["bundle"]


def test_what_does_not_run_is_not_written(
    exported: Exports, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = exported().bundle
    monkeypatch.setattr(optimizer, "save_model", lambda _, path: path.write_bytes(b"no model"))
    with pytest.raises(PrecisionError, match=r"^the file does not run in onnxruntime \(.*\), nothing is written"):
        optimize(bundle, tmp_path / "lower.onnx", precision="fp16", calibrate=texts, min_agreement=0)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_our_fp16_is_widened_and_lowered_again(
    precision: str, lowered: Callable[..., Exported], texts: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"precision": precision, "calibrate": texts, "min_agreement": 0}
    report = optimize(lowered("fp16").bundle, tmp_path / "lower.onnx", **options)
    assert report.damage is not None
    assert report.damage.error == pytest.approx(lowered(precision).metadata["verification"]["error"], rel=0.5)


def test_fp16_that_is_not_widened_is_refused(lowered: Callable[..., Exported], texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "skip": ["widen-half"]}
    with pytest.raises(PrecisionError, match="fp16 already, and --precision int8 is made of float32: give the float32"):
        optimize(lowered("fp16").bundle, tmp_path / "lower.onnx", **options)
    assert names_in(tmp_path) == []


def other(path: Path, change: Callable[[onnx.ModelProto], None], to: Path) -> Path:
    """A file that is changed."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, to)
    return to


def sum_outputs(model: onnx.ModelProto) -> None:
    """Outputs that no task has: one number for each text."""
    model.graph.initializer.append(helper.make_tensor("tokens", onnx.TensorProto.INT64, [1], [1]))
    for output in model.graph.output:
        inputs = [output.name, "tokens"]
        model.graph.node.append(helper.make_node("ReduceSum", inputs, [f"{output.name}.sum"], keepdims=0))
        output.name += ".sum"
        del output.type.tensor_type.shape.dim[1:]


def scale_outputs(model: onnx.ModelProto) -> None:
    """An input that is no text, on which all outputs depend."""
    for output in model.graph.output:
        model.graph.node.append(helper.make_node("Mul", [output.name, "scale"], [f"{output.name}.scaled"]))
        output.name += ".scaled"
    model.graph.input.append(helper.make_tensor_value_info("scale", onnx.TensorProto.FLOAT, []))


def rename_ports(model: onnx.ModelProto) -> None:
    """Names of no meaning."""
    for number, value in enumerate(model.graph.input):
        old, value.name = value.name, f"x{number}"
        model.graph.node.insert(0, helper.make_node("Identity", [value.name], [old]))
    for number, value in enumerate(model.graph.output):
        model.graph.node.append(helper.make_node("Identity", [value.name], [f"linear_{number}"]))
        value.name = f"linear_{number}"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"tokenizer": None}, BundleError, "has no tokenizer.json (it is in no bundle), and --precision int8 is"),
        ({"tokenizer": "none"}, BundleError, "none does not exist; pass --tokenizer with a tokenizer.json, or a"),
        ({"tokenizer": "."}, BundleError, "has no tokenizer.json; pass --tokenizer with one, or with a folder that"),
        ({"tokenizer": "bad.json"}, BundleError, "bad.json is not a tokenizer.json ("),
        ({"task": "squid"}, UsageError, "No task is called 'squid'. Did you mean 'question-answering'?"),
        ({"task": "fill-mask"}, BundleError, "has outputs start_logits, end_logits; fill-mask needs logits: pass"),
        ({"task": "multiple-choice"}, BundleError, "multiple-choice has the axes batch, choices, sequence. Is mult"),
        ({"calibrate": "none.txt"}, MbertError, "none.txt does not exist. Give --calibrate a file of texts."),
        ({"keep_float": ["layer.9"]}, UsageError, "no layer is called 'layer.9'; known: embeddings, layer.0, "),
        ({"only": ["clean-up"]}, PrecisionError, "nothing became int8, nothing is written; expected float32 products"),
        ({"precision": "int4"}, UsageError, "--precision is 'int4'; expected one of fp32, fp16, int8"),
        ({"min_agreement": 2}, UsageError, "--min-agreement is 2; expected 0 to 1, such as 0.99"),
        *(
            ({"precision": "fp32", name: value}, UsageError, f"--{name} is for {use} fp16 or int8; this is fp32")
            for name, value, use in (
                ("tokenizer", "x", "--text, or --precision"),
                ("task", QA, "--text, or --precision"),
                ("calibrate", "x", "--precision"),
            )
        ),
    ],
)
def test_one_line_says_what_to_do(
    options: dict[str, Any],
    error: type[Exception],
    says: str,
    given: Callable[..., Path],
    exported: Exports,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    usual: dict[str, Any] = {"precision": "int8", "calibrate": texts, "tokenizer": exported().checkpoint}
    if options.get("precision") == "fp32":
        usual = {}
    with pytest.raises(error) as caught:
        optimize(given("TorchScript"), tmp_path / "lower.onnx", **{**usual, **options})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == ["bad.json"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (sum_outputs, UsageError, "has outputs start_logits.sum, end_logits.sum, which no known task has"),
        (
            scale_outputs,
            BundleError,
            "has the inputs input_ids, attention_mask, token_type_ids, scale, expected input_",
        ),
    ],
)
def test_files_that_no_text_can_be_put_into(
    change: Callable[[onnx.ModelProto], None],
    error: type[Exception],
    says: str,
    given: Callable[..., Path],
    exported: Exports,
    tmp_path: Path,
) -> None:
    path = other(given("TorchScript"), change, tmp_path / "other.onnx")
    with pytest.raises(error) as caught:
        optimize(path, tmp_path / "lower.onnx", precision="int8", tokenizer=exported().checkpoint)
    assert says in str(caught.value)
    assert names_in(tmp_path) == ["other.onnx"]


def test_a_file_whose_names_have_no_meaning(
    given: Callable[..., Path], exported: Exports, texts: Path, tmp_path: Path
) -> None:
    path = other(given("TorchScript"), rename_ports, tmp_path / "other.onnx")
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "tokenizer": exported().checkpoint}
    options["min_agreement"] = 0.5
    report = optimize(path, tmp_path / "lower.onnx", **options)
    assert report.damage is not None
    assert report.damage.errors.keys() == {"start_logits", "end_logits"}
    note = "outputs taken by their names or shapes: linear_0 as start_logits, linear_1 as end_logits; --outputs chooses"
    assert note in " ".join(report.notes)
    written = onnx.load(tmp_path / "lower.onnx").graph
    assert [value.name for value in written.input] == ["x0", "x1", "x2"]
    assert [value.name for value in written.output] == ["linear_0", "linear_1"]
    chosen = optimize(path, tmp_path / "lower.onnx", outputs=["linear_1", "linear_0"], overwrite=True, **options)
    assert chosen.damage is not None
    assert chosen.damage.errors["end_logits"] == report.damage.errors["start_logits"]
    inputs = [value.name for value in open_session(tmp_path / "lower.onnx").get_inputs()]
    assert inputs == ["input_ids", "attention_mask", "token_type_ids"]  # by what the fused blocks do with them


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_files_that_are_no_model(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises((GraphError, VerificationError)) as caught:
        optimize(tmp_path / "bad.onnx", tmp_path / "lower.onnx", precision="fp16")
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == ["bad.onnx"]


def test_a_vocabulary_that_is_larger_than_the_model(
    given: Callable[..., Path], texts: Path, tmp_path: Path, runtime_tokenizer: transformers.BertTokenizerFast
) -> None:
    runtime_tokenizer.save_pretrained(tmp_path / "tokenizer")
    content = json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {
        word: index if word.startswith("[") else index + 500 for word, index in vocabulary.items()
    }
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(json.dumps(content))
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "tokenizer": tmp_path / "tokenizer"}
    found = r"The text has 'c' \(token 511\).* and \d+ others, but the model has 187 word embeddings"
    with pytest.raises(BundleError, match=rf"{found}.* than the model: pass --tokenizer with the [^:]* the model\.$"):
        optimize(given("TorchScript"), tmp_path / "lower.onnx", **options)
    assert names_in(tmp_path) == ["tokenizer"]


# The command line


def test_the_command_line(exported: Exports, given: Callable[..., Path], texts: Path, tmp_path: Path) -> None:
    arguments = ["optimize", str(given("TorchScript")), "-o", str(tmp_path / "lower.onnx"), "--precision", "int8"]
    options = ["--calibrate", str(texts), "--tokenizer", str(exported().checkpoint / "tokenizer.json"), "--task", "qa"]
    found = CliRunner().invoke(app, [*arguments, *options, "--keep-float", "layer.0,head", "--min-agreement", "0"])
    assert found.exit_code == 0, found.output
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("  measured ")]
    assert line.startswith("  measured   int8: centred error ")
    assert "; 8 held-out texts of texts.jsonl, " in line
    assert "  note       texts.jsonl has only 24 different texts; 32 or more give safer ranges" in found.stdout
    again = CliRunner().invoke(app, [*arguments, *options, "--overwrite", "--min-agreement", "0", "--json"])
    report = json.loads(again.stdout)
    assert (report["precision"], report["bar"]) == ("int8", None)
    assert report["damage"]["calibration"] == "texts.jsonl"
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].startswith("mbert-onnx: ")
