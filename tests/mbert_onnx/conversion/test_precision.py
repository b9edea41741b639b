"""fp16 and int8 of `export`: the file, its measured accuracy loss, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hot_checkpoints
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import transformers
from exported_checkpoints import Exports
from small_checkpoints import names_in, put_tensors, save_small, tensors_of
from text_encoders import WORDS

from graphs import pipeline
from graphs.ir.linear import as_linear
from mbert_onnx import export, load
from mbert_onnx.cli.application import app
from mbert_onnx.conversion import exporter
from mbert_onnx.errors import CalibrationError, CheckpointError, PrecisionError, UsageError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.presets import PRESETS
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.text.tasks import TASKS, Task

pytestmark = pytest.mark.usefixtures("traced_once")

# Largest centred errors of a small random model in a lower precision.
BARS = {"fp16": 2e-2, "int8": 0.4}
FILES = {"fp16": "model_fp16.onnx", "int8": "model_int8.onnx"}


@pytest.fixture(scope="module")
def checkpoint(
    runtime_tokenizer: transformers.BertTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Task], Path]:
    """A small random checkpoint with a tokenizer, for each task once."""
    root = tmp_path_factory.mktemp("checkpoints")

    def make(task: Task) -> Path:
        folder = root / task.name
        if not folder.is_dir():
            save_small(folder, task.architecture, vocab_size=len(runtime_tokenizer))
            runtime_tokenizer.save_pretrained(folder)
        return folder

    return make


QA = TASKS[0]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize(
    "task",
    [TASKS[0], *(pytest.param(task, marks=pytest.mark.full) for task in TASKS[1:])],
    ids=lambda task: task.name,
)
def test_every_task(task: Task, precision: str, exported: Exports, texts: Path) -> None:
    found = exported(task.name, precision=precision, calibrate=texts, min_agreement=0)
    file = found.bundle / "onnx" / FILES[precision]
    assert names_in(file.parent) == [file.name]
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert (onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.INT8) in kinds
    assert [value.type.tensor_type.elem_type for value in model.graph.output] == [1] * len(model.graph.output)
    assert found.metadata["precision"] == precision
    measured = found.metadata["verification"]
    assert 0 < measured["error"] <= BARS[precision]
    assert measured["texts"] >= 8  # every third; some tasks make two of a pair
    assert measured["calibration"] == "texts.jsonl"
    logits = load(found.bundle).logits(np.ones((1, 2, 5) if task.has_choices else (1, 5), np.int64))
    assert all(np.isfinite(value).all() for value in logits.values())


def test_blocks_are_operators_of_8_bits_unless_switched_off(exported: Exports, texts: Path) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0}
    files = {True: exported(**options).model, False: exported(functions=False, **options).model}
    found = {functions: [node.op_type for node in onnx.load(file).graph.node] for functions, file in files.items()}
    assert found[True].count("EncoderInt8") == 1
    assert "EncoderInt8" not in found[False]
    assert "MatMulInteger" in found[False]
    assert not {"MatMul", "Gemm"} & set(found[True]) - {"Gemm"}


@pytest.mark.parametrize("precision", [pytest.param("fp16", marks=pytest.mark.full), "int8"])
def test_layers_to_keep_stay_float32(
    precision: str, checkpoint: Callable[[Task], Path], exported: Exports, texts: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"precision": precision, "calibrate": texts, "min_agreement": 0, "functions": False}
    report = export(checkpoint(QA), tmp_path / "b", keep_float=["layer.1"], **options)
    assert report.model == tmp_path / "b" / "onnx" / FILES[precision]
    metadata = json.loads((tmp_path / "b" / "mbert_onnx.json").read_text())
    assert metadata["verification"]["error"] == report.verdict.error
    model = ir.load(report.model)
    linears = [linear for node in model.graph if (linear := as_linear(node)) or node.op_type == "Gemm"]
    assert linears
    floats = [v for v in model.graph.initializers.values() if v.dtype == ir.DataType.FLOAT and len(v.shape or ()) == 2]
    kept = [v.name for v in floats if v.name and "layer.1." in v.name]
    assert len(kept) > 5
    assert not [v.name for v in floats if v.name and "layer.0." in v.name]
    assert report.verdict.as_dict()["keep_float"] == ["layer.1"]
    assert exported(**options).model.stat().st_size < report.model.stat().st_size


def spoiled(*args: Any, **kwargs: Any) -> Any:
    """`optimize`, with one weight of the last layer replaced in its result."""
    outcome = pipeline.optimize(*args, **kwargs)
    weights = [v for name, v in outcome.model.graph.initializers.items() if "output.bottleneck" in name]
    value = [v for v in weights if v.shape is not None and len(v.shape) == 2][-1]
    assert value.const_value is not None
    value.const_value = ir.tensor(-value.const_value.numpy()[::-1].copy(), name=value.name)
    return outcome


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("only", [["clean-up"], ["rescale", "round-weights"]])
def test_a_file_in_which_nothing_is_lowered_is_not_written(
    only: list[str], precision: str, checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"precision": precision, "calibrate": texts, "min_agreement": 0}
    with pytest.raises(PrecisionError, match=f"nothing became {precision}, nothing is written; expected float32"):
        export(checkpoint(QA), tmp_path / "b", only=only, **options)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("precision", [pytest.param("fp16", marks=pytest.mark.full), "int8"])
def test_too_much_damage_is_refused_with_the_worst_layers(
    precision: str,
    checkpoint: Callable[[Task], Path],
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporter, "optimize", spoiled)
    with pytest.raises(
        PrecisionError, match=rf"{precision} has \d+\.\d % of \d+ decisions equal to float64's"
    ) as caught:
        export(checkpoint(QA), tmp_path / "b", precision=precision, calibrate=texts)
    line = str(caught.value)
    assert "expected at least 99.0 %; nothing is written" in line
    assert "Pass --keep-float layer." in line or "Pass --keep-float embeddings" in line
    assert "\n" not in line
    assert names_in(tmp_path) == []


@pytest.fixture
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`random:tiny`, with one layer and a small vocabulary."""
    monkeypatch.setitem(PRESETS, "tiny", {**PRESETS["tiny"], "num_hidden_layers": 1, "vocab_size": 300})


@pytest.mark.usefixtures("small_preset")
def test_random_weights_are_reported_and_not_refused(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "optimize", spoiled)
    report = export("random:tiny", tmp_path / "b", precision="int8", calibrate=texts)
    assert not report.verdict.passed
    assert "random weights: the argmax is unstable, so int8 is not refused for them" in report.notes


@pytest.mark.usefixtures("small_preset")
def test_built_in_sentences_are_the_default_texts(tmp_path: Path) -> None:
    report = export("random:tiny", tmp_path / "b", precision="fp16")
    assert any("built-in" in note and "--calibrate FILE" in note for note in report.notes)
    assert report.verdict.as_dict()["calibration"] == "built-in sentences"


def test_numbers_that_fp16_does_not_hold_are_refused_and_named(
    runtime_tokenizer: transformers.BertTokenizerFast, texts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    save_small(folder, vocab_size=len(runtime_tokenizer))
    runtime_tokenizer.save_pretrained(folder)
    tensors = tensors_of(folder)
    tensors["qa_outputs.weight"] *= 1e6
    put_tensors(folder, tensors)
    line = r"(logits|head/\S+) reaches \S+ in channel \d .*: pass --keep-float head, .*nothing is"
    with pytest.raises(PrecisionError, match=line):
        export(folder, tmp_path / "b", precision="fp16", calibrate=texts)
    assert names_in(tmp_path) == ["checkpoint"]
    options: dict[str, Any] = {"precision": "fp16", "calibrate": texts, "min_agreement": 0}
    assert export(folder, tmp_path / "b", keep_float=["head"], **options).verdict.error < BARS["fp16"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"precision": "int4"}, "--precision is 'int4'; expected one of fp32, fp16, int8"),
        ({"calibrate": "x.txt"}, "--calibrate is for --precision fp16 or int8; this is fp32: leave it out"),
        ({"keep_float": ["head"]}, "--keep-float is for --precision fp16 or int8; this is fp32: leave it out"),
        ({"min_agreement": 0.5}, "--min-agreement is for --precision fp16 or int8; this is fp32: leave it out"),
        (
            {"precision": "int8", "min_agreement": 99.0},
            "--min-agreement is 99.0; expected 0 to 1, such as 0.99",
        ),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        export("random", tmp_path / "b", **options)
    assert str(caught.value) == line


def test_a_layer_that_is_not_there(checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no layer is called 'layer.7'; known: embeddings, layer.0, layer.1, head"):
        export(checkpoint(QA), tmp_path / "b", precision="int8", calibrate=texts, keep_float=["layer.7"])


def test_texts_need_a_tokenizer(tmp_path: Path) -> None:
    save_small(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match=r"has no tokenizer, and --precision int8 is chosen on texts; put"):
        export(tmp_path / "checkpoint", tmp_path / "b", precision="int8")
    assert names_in(tmp_path) == ["checkpoint"]


def test_texts_that_begin_alike_are_one_text(checkpoint: Callable[[Task], Path], tmp_path: Path) -> None:
    alike = tmp_path / "alike.tsv"
    rows = [f"who won the game ?\t{'the first river in the city ' * 20} {word}" for word in WORDS.split()]
    alike.write_text("question\tcontext\n" + "\n".join(rows))
    with pytest.raises(CalibrationError, match=r"^alike\.tsv has 1 different texts as this model reads them, expected"):
        export(checkpoint(QA), tmp_path / "b", precision="int8", calibrate=alike)
    assert names_in(tmp_path) == ["alike.tsv"]


def test_phones_take_fp16_of_one_length(checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "fp16", "calibrate": texts, "min_agreement": 0}
    report = export(checkpoint(QA), tmp_path / "b", target="mobile", seq_len=16, **options)
    assert report.verdict.error < BARS["fp16"]
    assert not onnx.load(report.model).functions


def test_phones_take_int8_by_known_steps(checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0}
    report = export(checkpoint(QA), tmp_path / "b", target="mobile", seq_len=16, **options)
    assert report.verdict.error < BARS["int8"]
    model = onnx.load(report.model)
    assert not model.functions
    counts = {kind: [node.op_type for node in model.graph.node].count(kind) for kind in ("Gemm", "QuantizeLinear")}
    assert counts["QuantizeLinear"] >= counts["Gemm"] > 20
    assert "DynamicQuantizeLinear" not in {node.op_type for node in model.graph.node}
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer if ".weight" in tensor.name}
    assert onnx.TensorProto.INT8 in weights.values()
    assert report.plan is not None
    found = json.loads((tmp_path / "b" / "mbert_onnx.json").read_text())["activations"]
    assert found["error"] == report.plan.error <= found["error of 8 bits"]
    kept = export(checkpoint(QA), tmp_path / "c", target="mobile", seq_len=16, keep_float=["layer.0"], **options)
    names = [tensor.name for tensor in onnx.load(kept.model).graph.initializer if tensor.name.endswith(".int8")]
    assert any("layer.1." in name for name in names)
    assert not any("layer.0." in name for name in names)


@pytest.mark.parametrize("task", [TASKS[3]], ids=lambda task: task.name)
def test_a_word_table_that_is_looked_up_and_multiplied_by(
    task: Task, checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path
) -> None:
    """On phones, where the product cannot take its input as it comes."""
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0}
    report = export(checkpoint(task), tmp_path / "b", target="mobile", seq_len=16, **options)
    assert task.name == "fill-mask"
    assert report.verdict.error < BARS["int8"]
    large = [tensor for tensor in onnx.load(report.model).graph.initializer if np.prod(tensor.dims) > 5000]
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.INT8}


def test_a_fixed_batch_is_calibrated_and_measured_as_one(
    checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0}
    report = export(checkpoint(QA), tmp_path / "b", batch=5, **options)
    assert report.verdict.as_dict()["texts"] == 8  # in two feeds, of which the second has two of the first's again
    assert 0 < report.verdict.error < BARS["int8"]


def test_the_command_line(checkpoint: Callable[[Task], Path], texts: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    arguments = ["export", str(checkpoint(QA)), "-o", str(tmp_path / "b"), "--precision", "int8"]
    options = ["--calibrate", str(texts), "--keep-float", "layer.0,head", "--min-agreement", "0", "--json"]
    found = CliRunner().invoke(app, [*arguments, *options])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["verification"]["keep_float"] == ["layer.0", "head"]
    missing = CliRunner().invoke(app, [*arguments, "--overwrite", "--calibrate", str(tmp_path / "none.txt")])
    assert missing.exit_code in (1, 2)
    *progress, line = missing.stderr.splitlines()
    assert line.startswith("mbert-onnx: ")
    assert line.endswith("none.txt does not exist. Give --calibrate a file of texts.")
    assert all(stage.startswith("[") for stage in progress)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The accuracy loss of int8 in the full-size random model, which is tame."""
    return export("random", tmp_path_factory.mktemp("tame") / "b", precision="int8").verdict


@pytest.mark.full
@pytest.mark.parametrize(
    ("make", "int8"),
    [("hot_channels", 1.1), ("hot_inner_channels", 1.1), ("hot_hidden", 1.1), ("hot_token", 2.0)],
)
def test_hot_models_are_as_good_as_tame_ones(make: str, int8: float, usual: Any, tmp_path: Path) -> None:
    """Full size, against the loss of the same weights before they were made hot; fp16's bound is 1e-2."""
    tame = load_checkpoint("random")
    folder = tmp_path / "hot"
    hot_checkpoints.save(getattr(hot_checkpoints, make)(tame.model, 0), folder)
    write_tokenizer(None, folder, tame.config.vocab_size, tame.config.max_position_embeddings)
    half, found = (
        export(folder, tmp_path / precision, precision=precision, min_agreement=0).verdict
        for precision in ("fp16", "int8")
    )
    print(
        f"{make}: centred error of int8 {found.error:.1e} (tame: {usual.error:.1e}), by the kernels "
        f"{found.kernels_error:.1e} (tame: {usual.kernels_error:.1e}), of fp16 {half.error:.1e}"
    )
    assert usual.error <= 0.04  # onnxruntime's own dynamic quantization of transformers' export costs 0.12 to 0.14
    assert found.error <= int8 * usual.error
    assert half.error <= 1e-2
    # The kernels quantize each token by itself, so one that is hot costs the others nothing.
    if found.kernels_error is not None:
        assert usual.kernels_error <= usual.error
        assert found.kernels_error <= found.error
        assert found.kernels_error <= 1.1 * usual.kernels_error
