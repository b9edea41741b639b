"""`optimize`: a MobileBERT of any exporter becomes the same fast graph; other models keep their outputs."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from exported_checkpoints import Exports
from filelock import FileLock
from small_checkpoints import assert_file_answers_as, names_in
from small_models import BASE, randomize
from third_party_exports import (
    OPTIMUM_TASKS,
    export_with_optimum,
    export_with_torch_export,
    export_with_torchscript,
    save_with_weights_beside,
)

from graphs.execution.centred_error import centred_error
from mbert_onnx import optimize
from mbert_onnx.conversion.reports import OptimizeReport
from mbert_onnx.text.tasks import TASKS, task_named

EXPORTERS = ("torch.export", "TorchScript", "optimum", "ours")
CASES = [
    (exporter, task.name)
    for task in TASKS
    for exporter in EXPORTERS
    if exporter != "optimum" or task.name in OPTIMUM_TASKS
]
OTHER_SWITCHES = ("bottleneck_attention", "bottleneck_attention_unshared", "two_ffn", "no_trigram", "gelu", "one_head")
FEW_TASKS = ("question-answering", "fill-mask", "multiple-choice")

# torch.export takes longest.
SLOW_CASES = [("torch.export", task.name) for task in TASKS if task.name != FEW_TASKS[0]]

each_case = pytest.mark.parametrize(
    ("exporter", "task"),
    [pytest.param(*case, marks=pytest.mark.full if case in SLOW_CASES else ()) for case in CASES],
    ids=lambda part: part,
)


@dataclass(frozen=True)
class Optimized:
    """A file of some exporter, and the result of `optimize`."""

    given: Path
    path: Path
    report: OptimizeReport


Optimizes = Callable[..., Optimized]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "optimized"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def given(exported: Exports, shared: Path) -> Callable[..., Path]:
    """`given(exporter, task, switch="default", **options of the exporter)`: exported once for each."""

    def make(exporter: str, task: str, switch: str = "default", **options: Any) -> Path:
        if exporter == "ours":
            return exported(task, switch, **options).model
        found = exported(task, switch)
        path = shared / ("-".join([exporter, task, switch, *(f"{k}={v}" for k, v in options.items())]) + ".onnx")
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                return path
            if exporter == "optimum":
                export_with_optimum(found.checkpoint, path, task)
                return path
            names = task_named(task).output_names
            if switch == "outputs":
                names = (*names, *(f"hidden_states.{n}" for n in range(3)), *(f"attentions.{n}" for n in range(2)))
            export = {"torch.export": export_with_torch_export, "TorchScript": export_with_torchscript}[exporter]
            export(found.theirs, path, names, choices=task == "multiple-choice", **options)
        return path

    return make


@pytest.fixture(scope="session")
def optimized(given: Callable[..., Path], shared: Path) -> Optimizes:
    """`optimized(exporter, task, switch="default", functions=True, options of optimize, **others of given)`: once each.

    Of our own exports, what has functions is made of one that has them, and what has none of one that has none.
    """

    def make(
        exporter: str,
        task: str,
        switch: str = "default",
        *,
        functions: bool = True,
        options: dict[str, Any] | None = None,
        **how: Any,
    ) -> Optimized:
        how |= {"functions": False} if exporter == "ours" and not functions else {}
        key = hashlib.sha256(repr((exporter, task, switch, functions, options, how)).encode()).hexdigest()[:16]
        kept = shared / f"{key}.pickle"
        with FileLock(kept.with_suffix(".lock")):
            if kept.exists():
                found = pickle.loads(kept.read_bytes())
                assert isinstance(found, Optimized)
                return found
            file, path = given(exporter, task, switch, **how), shared / f"{key}.onnx"
            found = Optimized(file, path, optimize(file, path, functions=functions, **(options or {})))
            kept.write_bytes(pickle.dumps(found))
        return found

    return make


# What is asked of every result


def census(path: Path) -> Counter[str]:
    """Counts the nodes of each operator."""
    return Counter(f"{node.domain}.{node.op_type}".lstrip(".") for node in onnx.load(path).graph.node)


def floats(path: Path, op_type: str) -> int:
    """Counts the nodes of a type that compute with floats, and not with sizes."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    return sum(types[n.output[0]] == onnx.TensorProto.FLOAT for n in graph.node if n.op_type == op_type)


def ports(path: Path) -> list[Any]:
    """Inputs and outputs: names, order, types, dimensions and their names."""
    graph = onnx.load(path).graph
    return [[(value.name, value.type) for value in values] for values in (graph.input, graph.output)]


def feed_for(path: Path) -> dict[str, np.ndarray]:
    """Three texts, or as many as a fixed batch has; all but the first with padding. Other inputs are random."""
    generator = np.random.default_rng(2)
    feed: dict[str, np.ndarray] = {}
    for value in onnx.load(path).graph.input:
        dims = value.type.tensor_type.shape.dim
        sizes = (3, 4, 11) if len(dims) == 3 else (3, 11, 11, 11)
        shape = [dim.dim_value or size for dim, size in zip(dims, sizes, strict=False)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if value.name == "input_ids":
            feed[value.name] = generator.integers(0, BASE["vocab_size"], shape).astype(dtype)
        elif value.name == "attention_mask":
            feed[value.name] = np.ones(shape, dtype)
            feed[value.name][1:, ..., shape[-1] // 2 :] = 0
        else:
            drawn = generator.integers(0, 2, shape) if dtype.kind in "ib" else generator.standard_normal(shape)
            feed[value.name] = np.asarray(drawn).astype(dtype)
    return feed


def run(path: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def assert_same_answers(found: Optimized, *, float64: bool = True) -> None:
    """Both files are as near to float64, or where there is none to each other, as the report's bar says."""
    report = found.report
    assert report.error is not None
    assert report.bar is not None
    assert (report.given_error is not None) == float64
    assert report.error <= report.bar
    apart = report.bar + (report.given_error or 0.0)
    feed = feed_for(found.given)
    theirs, ours = run(found.given, feed), run(found.path, feed)
    assert list(theirs) == list(ours)
    for name, judge in theirs.items():
        assert ours[name].dtype == judge.dtype
        assert centred_error(ours[name], judge, feed["attention_mask"]) <= apart, name


def assert_sound(found: Optimized) -> None:
    """Valid; with the inputs and outputs that the file had; and a fixed point, which a second call copies."""
    onnx.checker.check_model(onnx.load(found.path), full_check=True)
    assert ports(found.path) == ports(found.given)
    again = found.path.with_suffix(f".again-{os.getpid()}.onnx")
    functions = bool(onnx.load(found.path).functions)
    report = optimize(found.path, again, target=found.report.target, functions=functions, overwrite=True)
    assert not report.changed
    assert again.read_bytes() == found.path.read_bytes()


# Every exporter, every head


@each_case
def test_the_graph_is_the_same_for_each_exporter(exporter: str, task: str, optimized: Optimizes) -> None:
    if task == "sentence-similarity" and exporter != "ours":
        pytest.skip("other exporters write the pooling with other operators")
    for functions in (True, False):
        found, ours = (optimized(name, task, functions=functions) for name in (exporter, "ours"))
        expected = census(ours.path)
        if exporter == "optimum" and task == "feature-extraction":
            expected -= Counter(["Gather", "Gemm", "Tanh"])  # it leaves out the pooler
        assert census(found.path) == expected
        assert ("mbert.Encoder" in expected) == ("mbert.Embeddings" in expected) == functions
        assert found.report.nodes_after == expected.total()
        assert found.report.restarts == 0


@each_case
def test_no_norm_is_left(exporter: str, task: str, optimized: Optimizes) -> None:
    found = optimized(exporter, task, functions=False)
    # (1 − mask) · lowest, and nothing else; but for the last layer's norm where its result is an output,
    # and for the pooling.
    assert floats(found.path, "Mul") == {"feature-extraction": 2, "sentence-similarity": 3}.get(task, 1)
    assert not onnx.load(found.path).functions


@each_case
def test_it_answers_as_the_file_that_was_read(exporter: str, task: str, optimized: Optimizes) -> None:
    for functions in (True, False):
        assert_same_answers(optimized(exporter, task, functions=functions))


@each_case
def test_it_answers_as_transformers(exporter: str, task: str, optimized: Optimizes, exported: Exports) -> None:
    theirs = exported(task).theirs
    if exporter == "optimum" and task == "feature-extraction":
        theirs.pooler = None
    assert_file_answers_as(theirs, optimized(exporter, task).path)


@each_case
def test_it_is_sound(exporter: str, task: str, optimized: Optimizes) -> None:
    for functions in (True, False):
        assert_sound(optimized(exporter, task, functions=functions))


# Other ways to export


@pytest.mark.parametrize(
    ("task", "opset"),
    [
        *(("question-answering", opset) for opset in (11, 13, 14, 17)),
        *(
            pytest.param(task, opset, marks=[] if opset == 11 else pytest.mark.full)
            for task in FEW_TASKS[1:]
            for opset in (11, 13, 14, 17)
        ),
    ],
)
def test_older_opsets_are_raised(task: str, opset: int, optimized: Optimizes) -> None:
    found = optimized("TorchScript", task, opset=opset)
    assert [o.version for o in onnx.load(found.given).opset_import] == [opset]
    assert found.report.opset == 18
    assert census(found.path) == census(optimized("ours", task).path)
    assert_same_answers(found)
    assert_sound(found)


@pytest.mark.parametrize(
    ("exporter", "task"), [*(("TorchScript", task) for task in FEW_TASKS), ("torch.export", FEW_TASKS[0])]
)
def test_fixed_shapes(task: str, exporter: str, optimized: Optimizes) -> None:
    found = optimized(exporter, task, functions=False, fixed=True)
    assert floats(found.path, "Mul") == 1
    assert "Shape" not in census(found.path)
    assert_same_answers(found)
    assert_sound(found)


def test_a_newer_opset_can_be_asked_for(optimized: Optimizes) -> None:
    found = optimized("TorchScript", "question-answering", options={"opset": 20})
    assert {o.version for o in onnx.load(found.path).opset_import if not o.domain} == {20} == {found.report.opset}
    assert_same_answers(found)
    assert_sound(found)


def test_functions_of_ours_are_written_out_where_asked(exported: Exports, tmp_path: Path) -> None:
    path = tmp_path / "inlined.onnx"
    report = optimize(exported().model, path, functions=False)
    assert report.changed
    assert not onnx.load(path).functions
    assert census(path) == census(exported(functions=False).model)
    assert_same_answers(Optimized(exported().model, path, report))


def test_only_some_passes(given: Callable[..., Path], tmp_path: Path) -> None:
    file = given("TorchScript", "question-answering")
    report = optimize(file, tmp_path / "only.onnx", only=["remove-nan-guard", "select-index"])
    assert {entry.name for entry in report.ledger} == {"remove-nan-guard", "select-index"}
    assert report.nodes_after <= report.nodes_before
    assert_same_answers(Optimized(file, tmp_path / "only.onnx", report))
    report = optimize(file, tmp_path / "skip.onnx", skip=["fold-affine", "fuse-ffn"])
    assert not {"fold-affine", "fuse-ffn"} & {entry.name for entry in report.ledger}
    assert floats(tmp_path / "skip.onnx", "Mul") > 1
    assert_same_answers(Optimized(file, tmp_path / "skip.onnx", report))


# Targets


@pytest.mark.parametrize("exporter", ["TorchScript", "ours", pytest.param("torch.export", marks=pytest.mark.full)])
@pytest.mark.parametrize("task", FEW_TASKS)
def test_phones_get_gemms_whose_third_input_is_constant(task: str, exporter: str, optimized: Optimizes) -> None:
    found = optimized(exporter, task, options={"target": "mobile"})
    model = onnx.load(found.path)
    constants = {tensor.name for tensor in model.graph.initializer}
    gemms = [node for node in model.graph.node if node.op_type == "Gemm"]
    assert len(gemms) > 10
    assert all(name in constants for node in gemms for name in node.input[2:])
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    assert floats(found.path, "Mul") == 1
    assert_same_answers(found)
    assert_sound(found)


def test_the_web_gets_functions(optimized: Optimizes) -> None:
    found = optimized("TorchScript", "question-answering", options={"target": "web"})
    assert census(found.path) == census(optimized("ours", "question-answering").path)
    assert_same_answers(found)
    assert_sound(found)


# What a file has besides


@pytest.fixture
def question_answering(given: Callable[..., Path]) -> onnx.ModelProto:
    return onnx.load(given("TorchScript", "question-answering"))


def test_weights_beside_the_file(question_answering: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    file, path = tmp_path / "theirs" / "model.onnx", tmp_path / "ours" / "model.onnx"
    save_with_weights_beside(question_answering, file, "weights.bin")
    assert names_in(file.parent) == ["model.onnx", "weights.bin"]
    report = optimize(file, path)
    assert names_in(path.parent) == ["model.onnx"]
    assert report.bytes_before > report.bytes_after > 100_000
    assert_same_answers(Optimized(file, path, report))
    # What is optimised already is left as it is, and in one file.
    file.unlink()
    (file.parent / "weights.bin").unlink()
    save_with_weights_beside(onnx.load(path), file, "weights.bin")
    report = optimize(file, path.with_name("again.onnx"))
    assert not report.changed
    assert names_in(path.parent) == ["again.onnx", "model.onnx"]
    assert_same_answers(Optimized(file, path.with_name("again.onnx"), report))


def test_metadata_and_doc_strings_are_kept(question_answering: onnx.ModelProto, tmp_path: Path) -> None:
    model = question_answering
    model.producer_name, model.producer_version, model.domain, model.model_version = "they", "7", "org.they", 3
    model.doc_string, model.graph.name, model.graph.doc_string = "a model", "squad", "a graph"
    model.graph.input[0].doc_string = "ids of WordPiece"
    model.metadata_props.add(key="trained on", value="SQuAD")
    onnx.save(model, tmp_path / "theirs.onnx")
    assert optimize(tmp_path / "theirs.onnx", tmp_path / "ours.onnx").changed
    found = onnx.load(tmp_path / "ours.onnx")
    assert (found.producer_name, found.producer_version, found.domain, found.model_version) == (
        "they",
        "7",
        "org.they",
        3,
    )
    assert (found.doc_string, found.graph.name, found.graph.doc_string) == ("a model", "squad", "a graph")
    assert found.graph.input[0].doc_string == "ids of WordPiece"
    assert [(entry.key, entry.value) for entry in found.metadata_props] == [("trained on", "SQuAD")]


def test_what_else_a_graph_computes_is_kept(
    question_answering: onnx.ModelProto, optimized: Optimizes, tmp_path: Path
) -> None:
    model = question_answering
    model.graph.node.extend(
        [
            onnx.helper.make_node("Cast", ["input_ids"], ["as_floats"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("ReduceSum", ["as_floats"], ["checksum"], keepdims=0),
        ]
    )
    model.graph.output.append(onnx.helper.make_tensor_value_info("checksum", onnx.TensorProto.FLOAT, []))
    onnx.save(model, tmp_path / "theirs.onnx")
    path = tmp_path / "ours.onnx"
    found = Optimized(tmp_path / "theirs.onnx", path, optimize(tmp_path / "theirs.onnx", path))
    assert census(path) - census(optimized("ours", "question-answering").path) == {"Cast": 1, "ReduceSum": 1}
    assert_same_answers(found)
    assert_sound(found)


@pytest.mark.parametrize("exporter", ["torch.export", "TorchScript"])
def test_hidden_states_and_attentions_stay_what_they_were(
    exporter: str, optimized: Optimizes, exported: Exports
) -> None:
    found = optimized(exporter, "question-answering", "outputs")
    assert len(ports(found.path)[1]) == 2 + 3 + 2
    assert_file_answers_as(exported("question-answering", "outputs").theirs, found.path)
    assert_same_answers(found)
    assert_sound(found)


@pytest.mark.parametrize(
    "switch",
    ["layer_norm", "no_bottleneck", *(pytest.param(switch, marks=pytest.mark.full) for switch in OTHER_SWITCHES)],
)
def test_some_switches(switch: str, optimized: Optimizes, exported: Exports) -> None:
    found = optimized("TorchScript", "question-answering", switch)
    if switch != "gelu":  # which exporters write in different ways
        assert census(found.path) == census(optimized("ours", "question-answering", switch).path)
    assert_file_answers_as(exported("question-answering", switch).theirs, found.path)
    assert_same_answers(found, float64=switch != "gelu")  # onnxruntime has no Erf in float64
    assert_sound(found)


# What is no MobileBERT


def parsed(text: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        model = onnx.parser.parse_model(text)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return path

    return make


def bert(path: Path) -> Path:
    config = transformers.BertConfig(
        **{"vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 48, "max_position_embeddings": 40, "attn_implementation": "eager"},
    )
    model = randomize(transformers.BertForQuestionAnswering(config)).eval()
    export_with_torchscript(model, path, ("start_logits", "end_logits"))
    return path


def mlp(path: Path) -> Path:
    layers = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    return plain(layers, torch.randn(2, 8), path)


def cnn(path: Path) -> Path:
    layers = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(36, 5), torch.nn.Softmax(-1)),
    )
    return plain(layers.eval(), torch.randn(2, 3, 8, 8), path)


def plain(module: torch.nn.Module, example: torch.Tensor, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            randomize(module),
            (example,),
            str(path),
            input_names=["x"],
            dynamic_axes={"x": {0: "batch"}},
            opset_version=18,
            dynamo=False,
        )
    return path


branches = parsed("""
    <ir_version: 9, opset_import: ["": 18]>
    g (float[n, 4] x, bool b) => (float[n, 4] y)
    <float[4] half = {0.5, 0.5, 0.5, 0.5}> {
        d = Mul(x, half)
        y = If (b) <
            then_branch = then () => (float[n, 4] t) { t = Add(d, x) },
            else_branch = otherwise () => (float[n, 4] e) { e = Mul(d, half) }
        >
    }
""")

loop = parsed("""
    <ir_version: 9, opset_import: ["": 18]>
    g (float[4] x) => (float[4] y)
    <int64 times = {5}, bool on = {1}, float[4] half = {0.5, 0.5, 0.5, 0.5}> {
        s = Mul(x, half)
        y = Loop (times, on, s) <
            body = step (int64 i, bool c, float[4] v) => (bool c_out, float[4] w) {
                c_out = Identity(c)
                w = Add(v, s)
            }
        >
    }
""")

their_functions = parsed("""
    <ir_version: 9, opset_import: ["": 18, "them": 1]>
    g (float[n, 4] x) => (float[n, 4] y)
    <float[4, 4] w = {1., 2., 3., 4., 5., 6., 7., 8., 9., 1., 2., 3., 4., 5., 6., 7.}> {
        a = them.Twice(x)
        b = MatMul(a, w)
        y = them.Twice(b)
    }
    <domain: "them", opset_import: ["": 18]>
    Twice (v) => (r) {
        r = Add(v, v)
    }
""")

nothing = parsed('<ir_version: 9, opset_import: ["": 18]> g (float[n] x) => (float[n] x) { }')

identity = parsed("""
    <ir_version: 9, opset_import: ["": 18]>
    g (float[n, 4] x) => (float[n, 4] y, float[n, 4] x_again)
    <float low = {-1.}> {
        y = Clip(x, low)
        x_again = Identity(x)
    }
""")


@pytest.mark.parametrize(
    "make",
    [bert, mlp, cnn, branches, loop, their_functions, identity, nothing],
    ids=["bert", "mlp", "cnn", "if", "loop", "functions", "identity", "nothing"],
)
def test_other_models_keep_their_outputs(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file, path = make(tmp_path / "theirs.onnx"), tmp_path / "ours.onnx"
    report = optimize(file, path)
    assert ports(path) == ports(file)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert not any(kind.startswith("mbert.") for kind in census(path))
    if not report.changed:
        assert path.read_bytes() == file.read_bytes()
    feed = feed_for(file)
    for name, judge in run(file, feed).items():
        assert centred_error(run(path, feed)[name], judge, feed.get("attention_mask")) <= 1e-5
    again = optimize(path, tmp_path / "again.onnx")
    assert not again.changed
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("make", [mlp, loop, branches, their_functions], ids=["mlp", "loop", "if", "functions"])
def test_where_nothing_applies_the_file_is_copied(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file = make(tmp_path / "theirs.onnx")
    assert not optimize(file, tmp_path / "ours.onnx").changed
    assert (tmp_path / "ours.onnx").read_bytes() == file.read_bytes()


# Full size


@pytest.mark.full
def test_the_paper_s_model_by_torchscript(tmp_path: Path) -> None:
    model = randomize(transformers.MobileBertForQuestionAnswering(transformers.MobileBertConfig())).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # otherwise 24 layers reach 1e14, where float32 is 0.1 from float64
            parameter.mul_(0.2 if parameter.dim() > 1 else 1.0)
    export_with_torchscript(model, tmp_path / "theirs.onnx", ("start_logits", "end_logits"))
    inlined = optimize(tmp_path / "theirs.onnx", tmp_path / "inlined.onnx", functions=False)
    assert inlined.nodes_before > 1_500
    assert inlined.nodes_after <= 800
    assert inlined.restarts == 0
    assert floats(inlined.path, "Mul") == 1
    blocks = optimize(tmp_path / "theirs.onnx", tmp_path / "blocks.onnx")
    assert (census(blocks.path)["mbert.Encoder"], census(blocks.path)["mbert.Embeddings"]) == (1, 1)
    (encoder,) = (node for node in onnx.load(blocks.path).graph.node if node.op_type == "Encoder")
    assert next(attribute.i for attribute in encoder.attribute if attribute.name == "layers") == 24
    for report in (inlined, blocks):
        assert_same_answers(Optimized(tmp_path / "theirs.onnx", report.path, report))
