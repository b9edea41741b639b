"""`optimize` of files that are not plain float32 at inference: NaN, training mode, half precision, 8 and 4 bits."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_checkpoints import Exports
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from small_checkpoints import names_in
from third_party_exports import INPUTS, Flat, export_with_torchscript
from typer.testing import CliRunner

from graphs.errors import GraphError
from graphs.execution.centred_error import centred_error
from mbert_onnx import doctor, load, optimize, verify
from mbert_onnx.cli.application import app
from mbert_onnx.errors import CalibrationError, PrecisionError, VerificationError
from mbert_onnx.text.tasks import task_named

QA = "question-answering"
QUANTIZED = ("dynamic", "static", "four bits")


@pytest.fixture(scope="module")
def float32(exported: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small checkpoint as TorchScript exports it."""
    path = tmp_path_factory.mktemp("float32") / "model.onnx"
    export_with_torchscript(exported(QA).theirs, path, task_named(QA).output_names)
    return path


def feed_for(path: Path) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(3).integers(0, 90, (2, 11))
    mask = np.ones_like(ids)
    mask[1, 6:] = 0
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {value.name: feed[value.name] for value in onnx.load(path).graph.input}


def run(path: Path) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed_for(path)), strict=True))


def apart(a: Path, b: Path) -> float:
    """The largest centred error between two files."""
    left, right = run(a), run(b)
    assert list(left) == list(right)
    mask = feed_for(a)["attention_mask"]
    return max(centred_error(left[name].astype(np.float64), value, mask) for name, value in right.items())


def changed(path: Path, change: Callable[[onnx.ModelProto], None], to: Path) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, to)
    return to


# Numbers that are not finite


def with_weight(value: float) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name.endswith("qa_outputs.bias"))
        array = numpy_helper.to_array(tensor).copy()
        array[0] = value
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return change


@pytest.mark.parametrize("valid", [True, False])
def test_an_error_of_a_pass_is_the_file_s_where_onnxruntime_refuses_it(
    valid: bool, float32: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes take valid graphs, and fail in many ways for others."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such input")

    monkeypatch.setattr("mbert_onnx.conversion.optimizer.optimize_graph", broken)
    model = onnx.load(float32)
    model.graph.node[-1].op_type += "" if valid else "OfTomorrow"
    onnx.save(model, tmp_path / "given.onnx")
    line = r"no such input" if valid else r"given\.onnx is not loaded by onnxruntime: .*OfTomorrow.*; export it again"
    with pytest.raises(RuntimeError if valid else GraphError, match=line):
        optimize(tmp_path / "given.onnx", tmp_path / "new.onnx")
    assert not (tmp_path / "new.onnx").exists()


def test_an_output_that_is_listed_twice_is_refused(float32: Path, tmp_path: Path) -> None:
    """onnxruntime runs such a file."""
    model = onnx.load(float32)
    model.graph.output.add().CopyFrom(model.graph.output[0])
    onnx.save(model, tmp_path / "given.onnx")
    with pytest.raises(GraphError, match=r"given\.onnx lists the output start_logits twice; expected each once"):
        optimize(tmp_path / "given.onnx", tmp_path / "new.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float, float32: Path, tmp_path: Path) -> None:
    path = changed(float32, with_weight(value), tmp_path / "bad.onnx")
    with pytest.raises(GraphError, match=r"^the given graph's weight .*qa_outputs.bias has 1 of 2 values NaN or"):
        optimize(path, tmp_path / "out.onnx")
    assert names_in(tmp_path) == ["bad.onnx"]


def test_outputs_that_are_not_finite_are_refused(float32: Path, tmp_path: Path) -> None:
    def infinite(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if "start_logits" in node.output)
        node.output[list(node.output).index("start_logits")] = "scores"
        model.graph.node.append(helper.make_node("Sub", ["scores", "scores"], ["zero"]))
        model.graph.node.append(helper.make_node("Div", ["scores", "zero"], ["start_logits"]))

    path = changed(float32, infinite, tmp_path / "bad.onnx")
    with pytest.raises(GraphError, match=r"^the given graph's start_logits is NaN or infinite in .* nothing can be"):
        optimize(path, tmp_path / "out.onnx")
    assert names_in(tmp_path) == ["bad.onnx"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_neither_is_a_lower_precision_of_them_written(
    precision: str, float32: Path, exported: Exports, texts: Path, tmp_path: Path
) -> None:
    path = changed(float32, with_weight(np.nan), tmp_path / "bad.onnx")
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": texts, "min_agreement": 0}
    with pytest.raises(PrecisionError, match=r"qa_outputs\.bias has 1 of 2 values NaN or infinite|start_logits is NaN"):
        optimize(path, tmp_path / "out.onnx", precision=precision, **options)
    assert names_in(tmp_path) == ["bad.onnx"]


def test_minus_infinity_at_padding_is_not_an_answer(float32: Path, tmp_path: Path) -> None:
    """Some wrappers mask the scores of tokens that cannot be an answer."""

    def mask_scores(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if "start_logits" in node.output)
        node.output[list(node.output).index("start_logits")] = "scores"
        model.graph.initializer.append(numpy_helper.from_array(np.array(-np.inf, np.float32), "low"))
        model.graph.node.extend(
            [
                helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.BOOL),
                helper.make_node("Where", ["real", "scores", "low"], ["start_logits"]),
            ]
        )

    path = changed(float32, mask_scores, tmp_path / "masked.onnx")
    report = optimize(path, tmp_path / "out.onnx")
    assert report.changed
    assert np.isneginf(run(tmp_path / "out.onnx")["start_logits"][1, 6:]).all()
    assert apart(tmp_path / "out.onnx", path) < 1e-5


# Training mode


def with_dropout(training: bool, seed: int | None = None) -> Callable[[onnx.ModelProto], None]:
    """Puts a Dropout after each Softmax, as transformers' attention has it."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "ratio"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(training), "training"))
        nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            nodes.append(node)
            if node.op_type == "Softmax":
                (name,) = node.output
                node.output[0] = f"{name}.kept"
                options: dict[str, Any] = {} if seed is None else {"seed": seed}
                nodes.append(helper.make_node("Dropout", [f"{name}.kept", "ratio", "training"], [name], **options))
        del model.graph.node[:]
        model.graph.node.extend(nodes)

    return change


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_removed_and_reported(training: bool, float32: Path, tmp_path: Path) -> None:
    path = changed(float32, with_dropout(training), tmp_path / "train.onnx")
    out = tmp_path / "out.onnx"
    report = optimize(path, out)
    assert (report.ledger[0].name, report.ledger[0].matches) == ("remove-dropout", 2)
    assert report.given_error is not None
    assert report.given_error < 1e-4
    assert report.bar is not None
    assert report.bar < 1e-3
    assert [note for note in report.notes if "training mode: 2 live Dropout nodes" in note] == report.notes
    assert len(report.notes) == training
    plain = optimize(float32, tmp_path / "plain.onnx")
    assert report.nodes_after == plain.nodes_after
    assert apart(out, plain.path) < 1e-6


def test_a_lower_precision_is_compared_without_dropout(
    float32: Path, exported: Exports, texts: Path, tmp_path: Path
) -> None:
    path = changed(float32, with_dropout(True), tmp_path / "train.onnx")
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": texts, "min_agreement": 0}
    report = optimize(path, tmp_path / "out.onnx", precision="int8", **options)
    plain = optimize(float32, tmp_path / "plain.onnx", precision="int8", **options)
    assert report.damage is not None
    assert plain.damage is not None
    assert report.damage.error == pytest.approx(plain.damage.error)


def test_where_dropout_stays_the_file_is_refused(float32: Path, tmp_path: Path) -> None:
    path = changed(float32, with_dropout(True, seed=1), tmp_path / "train.onnx")
    with pytest.raises(GraphError, match=r"not compute the same twice: .*, since it draws random numbers in 2 Dropout"):
        optimize(path, tmp_path / "out.onnx", skip=["remove-dropout"])
    assert names_in(tmp_path) == ["train.onnx"]


def with_noise(model: onnx.ModelProto) -> None:
    """Puts a Dropout that is written out after the first Softmax."""
    node = next(node for node in model.graph.node if node.op_type == "Softmax")
    (name,) = node.output
    node.output[0] = "weights"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "ratio"))
    nodes = [
        helper.make_node("RandomUniformLike", ["weights"], ["random"]),
        helper.make_node("Greater", ["random", "ratio"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["weights", "mask"], [name]),
    ]
    position = list(model.graph.node).index(node) + 1
    for offset, new in enumerate(nodes):
        model.graph.node.insert(position + offset, new)


def test_dropout_that_is_written_out_is_refused(float32: Path, tmp_path: Path) -> None:
    path = changed(float32, with_noise, tmp_path / "train.onnx")
    with pytest.raises(GraphError, match=r"draws random numbers in 1 RandomUniformLike; export it again after"):
        optimize(path, tmp_path / "out.onnx")
    assert names_in(tmp_path) == ["train.onnx"]


def test_verify_says_why_two_runs_differ(float32: Path, exported: Exports, tmp_path: Path) -> None:
    path = changed(float32, with_noise, tmp_path / "train.onnx")
    found = exported(QA)
    # Also beside itself: two sessions draw the same numbers.
    for model, against in ((path, found.checkpoint), (path, found.bundle), (found.bundle, path), (path, path)):
        with pytest.raises(VerificationError, match=r"^train\.onnx .* 1 RandomUniformLike; .* after model\.eval\(\)$"):
            verify(model, against)


@pytest.mark.full
@pytest.mark.parametrize("dynamo", [True, False])
def test_a_model_that_was_exported_in_training(dynamo: bool, exported: Exports, tmp_path: Path) -> None:
    model = exported(QA).theirs
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.1
    example = tuple(torch.ones((2, 7), dtype=torch.long) for _ in INPUTS)
    options: dict[str, Any] = (
        {"dynamo": True, "opset_version": 18} if dynamo else {"opset_version": 14, "dynamo": False}
    )
    if not dynamo:
        options["training"] = torch.onnx.TrainingMode.TRAINING
    path = tmp_path / "train.onnx"
    names: dict[str, Any] = {"input_names": list(INPUTS), "output_names": list(task_named(QA).output_names)}
    torch.onnx.export(Flat(model).train(), example, str(path), **names, **options)
    report = optimize(path, tmp_path / "out.onnx")
    assert "exported in training mode" in report.notes[0]
    assert verify(tmp_path / "out.onnx", exported(QA).checkpoint).passed


# Half precision


@pytest.fixture(scope="module")
def half(float32: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file in half precision, as onnxruntime's converter makes it: with float32 outputs, without, and mixed."""
    folder = tmp_path_factory.mktemp("half")
    options: dict[str, dict[str, Any]] = {
        "float32 outputs": {"keep_io_types": True},
        "half outputs": {"keep_io_types": False},
        "mixed": {"keep_io_types": True, "op_block_list": ["Softmax", "Add"]},
    }

    def make(kind: str) -> Path:
        path = folder / f"{kind}.onnx"
        if not path.exists():
            onnx.save(convert_float_to_float16(onnx.load(float32), **options[kind]), path)
        return path

    return make


@pytest.mark.parametrize("kind", ["float32 outputs", "half outputs", "mixed"])
def test_half_precision_is_widened(kind: str, half: Callable[[str], Path], float32: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    report = optimize(half(kind), out)
    assert report.error is not None
    assert report.error <= 1e-5  # from its own weights in float64, not from those before they were rounded
    assert report.notes[0].startswith("the file was in half precision: its weights were widened to float32")
    assert ("start_logits, end_logits are float32 now" in report.notes[0]) == (kind == "half outputs")
    assert report.nodes_after == optimize(float32, tmp_path / "plain.onnx").nodes_after
    assert {tensor.data_type for tensor in onnx.load(out).graph.initializer} <= {TensorProto.FLOAT, TensorProto.INT64}
    assert {value.dtype for value in run(out).values()} == {np.dtype(np.float32)}
    assert apart(half(kind), out) < 0.02
    onnx.checker.check_model(onnx.load(out), full_check=True)
    assert not optimize(out, tmp_path / "again.onnx").changed


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_half_precision_becomes_any_precision(
    precision: str, half: Callable[[str], Path], exported: Exports, texts: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": texts, "min_agreement": 0}
    report = optimize(half("half outputs"), tmp_path / "out.onnx", precision=precision, **options)
    assert report.damage is not None
    assert report.damage.error < (0.05 if precision == "fp16" else 0.4)
    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.INT8
    assert sum(tensor.data_type == kind for tensor in onnx.load(tmp_path / "out.onnx").graph.initializer) > 10
    assert {value.dtype for value in run(tmp_path / "out.onnx").values()} == {np.dtype(np.float32)}


def test_half_precision_that_overflows_is_refused(half: Callable[[str], Path], tmp_path: Path) -> None:
    """Widened, it would be finite: the file is compared with what it computes itself, too."""

    def enlarge(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array(6e4, np.float16), "large"))
        node = next(node for node in model.graph.node if "start_logits" in node.output)
        node.output[list(node.output).index("start_logits")] = "scores"
        model.graph.node.extend(
            [
                helper.make_node("Mul", ["scores", "large"], ["larger"]),
                helper.make_node("Mul", ["larger", "large"], ["start_logits"]),
            ]
        )

    path = changed(half("half outputs"), enlarge, tmp_path / "hot.onnx")
    with pytest.raises(GraphError, match=r"start_logits is NaN or infinite .*\(the first such tensor is larger"):
        optimize(path, tmp_path / "out.onnx")
    assert names_in(tmp_path) == ["hot.onnx"]


def test_bfloat16_that_onnxruntime_does_not_run(float32: Path, tmp_path: Path) -> None:
    def to_bfloat16(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                array = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        for node in model.graph.node:
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.BFLOAT16
                if attribute.t.data_type == TensorProto.FLOAT:
                    array = numpy_helper.to_array(attribute.t)
                    kind = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
                    attribute.t.CopyFrom(numpy_helper.from_array(np.maximum(array, -1e38).astype(kind)))
        for output in model.graph.output:
            output.type.tensor_type.elem_type = TensorProto.BFLOAT16
        del model.graph.value_info[:]

    path = changed(float32, to_bfloat16, tmp_path / "bf16.onnx")
    report = optimize(path, tmp_path / "out.onnx")
    assert report.notes[1].startswith("onnxruntime does not run the file in half precision here")
    assert apart(tmp_path / "out.onnx", float32) < 0.1
    assert {value.dtype for value in run(tmp_path / "out.onnx").values()} == {np.dtype(np.float32)}


def test_verify_takes_outputs_in_half_precision(half: Callable[[str], Path], exported: Exports, texts: Path) -> None:
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": texts, "min_agreement": 0}
    verdict = verify(half("half outputs"), exported(QA).checkpoint, **options)
    assert verdict.passed
    assert 0 < verdict.error < 0.05


def test_texts_in_another_script_are_called_what_verify_does_with_them(
    half: Callable[[str], Path], exported: Exports, tmp_path: Path
) -> None:
    lines = [json.dumps({"question": "λ" * number, "context": "μ " * number}) for number in range(1, 20)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": tmp_path / "texts.jsonl"}
    with pytest.raises(CalibrationError, match=r"100% of the tokens of the verification texts are \[UNK\]"):
        verify(half("half outputs"), exported(QA).checkpoint, **options)


# 8 and 4 bits


class Texts(CalibrationDataReader):
    def __init__(self, path: Path) -> None:
        self._feeds = iter([feed_for(path)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


@pytest.fixture(scope="module")
def quantized(float32: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file as onnxruntime's quantizers make it."""
    folder = tmp_path_factory.mktemp("quantized")

    def make(kind: str) -> Path:
        path = folder / f"{kind}.onnx"
        if path.exists():
            return path
        if kind == "dynamic":
            quantize_dynamic(float32, path)
        elif kind == "static":
            quantize_static(float32, path, Texts(float32), quant_format=QuantFormat.QDQ)
        else:
            quantizer = MatMulNBitsQuantizer(onnx.load(float32), block_size=32)
            quantizer.process()
            quantizer.model.save_model_to_file(str(path))
        return path

    return make


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("kind", QUANTIZED)
def test_quantized_files_are_copied(
    kind: str, precision: str, quantized: Callable[[str], Path], tmp_path: Path
) -> None:
    report = optimize(quantized(kind), tmp_path / "out.onnx", precision=precision)
    assert not report.changed
    assert (tmp_path / "out.onnx").read_bytes() == quantized(kind).read_bytes()
    (note,) = report.notes
    operators = {
        "dynamic": "DynamicQuantizeLinear, MatMulInteger",
        "static": "QuantizeLinear",
        "four bits": "MatMulNBits",
    }
    assert f"{kind}.onnx is quantized already (" in note
    assert operators[kind] in note


@pytest.mark.parametrize("kind", QUANTIZED)
def test_quantized_files_do_not_become_fp16(kind: str, quantized: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(PrecisionError, match=r"quantized already .*, and fp16 is made of float32: give the"):
        optimize(quantized(kind), tmp_path / "out.onnx", precision="fp16")
    assert names_in(tmp_path) == []


def test_a_file_with_embeddings_in_8_bits_does_not_become_fp16(float32: Path, tmp_path: Path) -> None:
    quantize_dynamic(float32, tmp_path / "tables.onnx", op_types_to_quantize=["Gather"])
    with pytest.raises(PrecisionError, match="embeddings in 8 bits already, and fp16 is made of float32: give the"):
        optimize(tmp_path / "tables.onnx", tmp_path / "out.onnx", precision="fp16")
    assert names_in(tmp_path) == ["tables.onnx"]


@pytest.fixture(scope="module")
def half_with_tables(float32: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """The file with our functions in half precision, embeddings in 8 bits, and, if not valid, a weight in float32."""
    folder = tmp_path_factory.mktemp("half-with-tables")

    def make(valid: bool) -> Path:
        path = folder / f"{'valid' if valid else 'invalid'}.onnx"
        if not path.exists():
            quantize_dynamic(float32, folder / "tables.onnx", op_types_to_quantize=["Gather"])
            optimize(folder / "tables.onnx", folder / "fused.onnx", overwrite=True)
            blocked = [*DEFAULT_OP_BLOCK_LIST, "DequantizeLinear"]
            model = convert_float_to_float16(onnx.load(folder / "fused.onnx"), op_block_list=blocked)
            if not valid:
                node = next(node for node in model.graph.node if node.op_type == "Gemm")
                (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
                array = numpy_helper.to_array(tensor).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            onnx.save(model, path)
        return path

    return make


def test_half_precision_with_tables_in_8_bits_runs_without_the_kernels(
    half_with_tables: Callable[[bool], Path], float32: Path, exported: Exports, texts: Path, tmp_path: Path
) -> None:
    """`verify` measures such a file as int8, and `load` does not see its precision by its name."""
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": texts, "min_agreement": 0}
    verdict = verify(half_with_tables(True), float32, **options)
    assert verdict.error < 0.05
    assert verdict.kernels_error is None
    shutil.copytree(exported(QA).bundle, tmp_path / "bundle")
    shutil.copy(half_with_tables(True), tmp_path / "bundle" / "onnx" / "model.onnx")
    answers = [load(bundle).run("ada", context="ada ada") for bundle in (exported(QA).bundle, tmp_path / "bundle")]
    assert answers[0][0].score == pytest.approx(answers[1][0].score, abs=0.05)


def test_half_precision_that_mixes_types_is_called_that(
    half_with_tables: Callable[[bool], Path], float32: Path, exported: Exports, texts: Path
) -> None:
    path, tokenizer = half_with_tables(False), exported(QA).checkpoint
    line = r"cannot load .*/invalid\.onnx: .*Gemm.* different types .* a type that ONNX does not allow there.*: convert"
    with pytest.raises(VerificationError, match=line):
        verify(path, float32, tokenizer=tokenizer, calibrate=texts)
    with pytest.raises(VerificationError, match=line):
        doctor(path, tokenizer=tokenizer, calibrate=texts)


@pytest.mark.parametrize("kind", QUANTIZED)
def test_dropout_of_quantized_files_is_removed(kind: str, quantized: Callable[[str], Path], tmp_path: Path) -> None:
    """Both are compared as onnxruntime optimizes them: it computes 8 bits differently there."""
    path = changed(quantized(kind), with_dropout(True), tmp_path / "train.onnx")
    report = optimize(path, tmp_path / "out.onnx")
    assert report.changed
    assert report.bar == 1e-2
    assert "2 live Dropout nodes" in report.notes[1]
    assert apart(tmp_path / "out.onnx", quantized(kind)) < 1e-2


def test_a_quantized_file_that_is_not_finite_is_refused(quantized: Callable[[str], Path], tmp_path: Path) -> None:
    path = changed(quantized("dynamic"), with_weight(np.nan), tmp_path / "bad.onnx")
    with pytest.raises(GraphError, match=r"qa_outputs\.bias has 1 of 2 values NaN or infinite"):
        optimize(path, tmp_path / "out.onnx")
    assert names_in(tmp_path) == ["bad.onnx"]


def test_our_int8_functions_stay_or_are_written_out(exported: Exports, texts: Path, tmp_path: Path) -> None:
    bundle = exported(QA, precision="int8", calibrate=texts, min_agreement=0)
    assert not optimize(bundle.model, tmp_path / "same.onnx").changed
    report = optimize(bundle.model, tmp_path / "inlined.onnx", functions=False)
    assert report.changed
    assert not onnx.load(tmp_path / "inlined.onnx").functions
    assert apart(tmp_path / "inlined.onnx", bundle.model) < 1e-2
    report = optimize(bundle.model, tmp_path / "opset.onnx", opset=20)
    assert (report.changed, report.opset) == (True, 20)


# The command line


def test_the_command_line_says_what_was_found(
    half: Callable[[str], Path], quantized: Callable[[str], Path], tmp_path: Path
) -> None:
    found = CliRunner().invoke(app, ["optimize", str(half("mixed")), "-o", str(tmp_path / "a.onnx")])
    assert found.exit_code == 0, found.output
    assert "the file was in half precision" in " ".join(found.stdout.split())
    assert "widen-half" in found.stdout
    found = CliRunner().invoke(app, ["optimize", str(quantized("static")), "-o", str(tmp_path / "b.onnx"), "--json"])
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    assert (report["changed"], report["precision"], report["error"]) == (False, "int8", 0.0)
    assert Counter(names_in(tmp_path)) == Counter(["a.onnx", "b.onnx"])


# doctor


def test_doctor_takes_half_precision_and_no_nan(
    half: Callable[[str], Path], float32: Path, exported: Exports, texts: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"tokenizer": exported(QA).checkpoint, "calibrate": texts}
    assert doctor(half("mixed"), **options).notes[0].startswith("the file was in half precision")
    bad = changed(float32, with_weight(np.nan), tmp_path / "bad.onnx")
    with pytest.raises(GraphError, match=r"qa_outputs\.bias has 1 of 2 values NaN or infinite"):
        doctor(bad, **options)
