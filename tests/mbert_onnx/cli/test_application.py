"""Command line: its output, its exit codes, and that errors of the user never show a traceback."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
from broken_checkpoints import FAULTS, Fault, RunsCode
from exported_checkpoints import Exports
from small_checkpoints import names_in, save_small
from third_party_exports import export_with_torchscript, save_with_weights_beside
from typer.testing import CliRunner, Result

import mbert_onnx
from graphs import pipeline
from mbert_onnx.cli.application import app
from mbert_onnx.runtime.answers import as_json
from mbert_onnx.text.tasks import TASKS

HOME = Path(mbert_onnx.__file__).parent.parent
COMMANDS = ["export", "optimize", "passes", "bench", "run", "inspect", "verify"]
# As short as a measurement can be; nothing is asserted about its numbers.
SHORT = ["--budget", "0.05", "--seq-len", "4", "--threads", "1"]


def call(*arguments: str | Path, text: str | None = None) -> Result:
    """The command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(HOME), **options.pop("environment", {})}
    environment.pop("PYTHONUNBUFFERED", None)  # users' output is buffered
    return subprocess.Popen(
        [sys.executable, "-m", "mbert_onnx", *arguments],
        env=environment,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def complaint(result: Result, code: int) -> str:
    """The one line on standard error; nothing but progress may stand above it, and nothing on standard output."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (code, "")
    *progress, line = result.stderr.splitlines()
    assert all(line.startswith("[") for line in progress), result.stderr
    assert line.startswith("mbert-onnx: ")
    return line.removeprefix("mbert-onnx: ")


# Help, version, and what they load


def test_help_names_every_command() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_the_option_task_names_every_task() -> None:
    printed = call("export", "--help").stdout
    assert all(task.name in printed for task in TASKS)


def test_the_version() -> None:
    assert call("--version").stdout == f"mbert-onnx {mbert_onnx.__version__}\n"


@pytest.mark.parametrize(
    "code",
    [
        "import mbert_onnx; dir(mbert_onnx)",
        "from mbert_onnx.cli.application import app; app(['--help'], standalone_mode=False)",
        "from mbert_onnx.cli.application import COMMANDS, app\n"
        "for command in COMMANDS: app([command.__name__, '--help'], standalone_mode=False)",
    ],
)
def test_help_and_import_load_nothing_heavy(code: str) -> None:
    heavy = ("torch", "transformers", "onnxruntime", "onnx", "onnx_ir", "numpy", "graphs", "perf", "rich", "pydantic")
    check = f"{code}\nimport sys; print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=HOME)
    assert done.stderr == "[]\n"


def test_every_name_of_the_api_is_there() -> None:
    assert set(mbert_onnx.__all__) >= {"export", "optimize", "passes", "bench", "run", "load", "inspect", "verify"}
    assert all(getattr(mbert_onnx, name) is not None for name in mbert_onnx.__all__)
    with pytest.raises(AttributeError, match="module 'mbert_onnx' has no attribute 'quantise'"):
        _ = mbert_onnx.quantise


# export


def test_export_prints_the_stages_and_the_result(exported: Exports, tmp_path: Path) -> None:
    result = call("export", exported().checkpoint, "--output", tmp_path / "bundle")
    assert result.exit_code == 0
    stages = [line.split("] ")[1].split(" ")[0] for line in result.stderr.splitlines()]
    assert stages == ["reading", "measuring", "tracing", "removing", "writing", "verifying", "finishing"]
    assert f"{tmp_path / 'bundle' / 'onnx' / 'model.onnx'}  0.2 MB, question-answering, opset 18" in result.stdout
    assert "verified   centred error" in result.stdout
    assert "123 → " in result.stdout
    result = call("export", exported().checkpoint, "--output", tmp_path / "bundle")
    assert "exists; pass --overwrite to replace it" in complaint(result, 1)


@pytest.mark.full
def test_export_in_a_child_process_prints_json(exported: Exports, tmp_path: Path) -> None:
    options = ("--task", "embeddings", "--batch", "1", "--seq-len", "5", "--opset", "20", "--seed", "4", "--json")
    process = start("export", exported().checkpoint, "-o", tmp_path / "bundle", *options)
    out, err = process.communicate()
    assert process.returncode == 0, err
    printed = json.loads(out)
    saved = json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())
    assert printed == {**saved["precisions"]["fp32"], **{name: saved[name] for name in printed if name in saved}}
    assert (printed["task"], printed["opset"], printed["seed"]) == ("feature-extraction", 20, 4)
    assert printed["shapes"] == {"batch": 1, "choices": None, "sequence": 5}
    assert "the checkpoint has no pooler, so there is no pooler_output" in printed["notes"]
    assert [output["name"] for output in printed["graph"]["outputs"]] == ["last_hidden_state"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_broken_checkpoint_is_one_line(fault: Fault, exported: Exports, tmp_path: Path) -> None:
    shutil.copytree(exported().checkpoint, tmp_path / "model")
    # The faults are about sizes of the small models' base config.
    save_small(tmp_path / "model")
    fault.spoil(tmp_path / "model")
    complaint(call("export", tmp_path / "model", "--output", tmp_path / "bundle"), 1)
    assert names_in(tmp_path) == ["model"]
    assert not RunsCode(tmp_path / "model").path.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["random:huge"], 2, "no built-in model is called 'random:huge'"),
        (["no/such/folder"], 1, "no such folder; expected one with config.json"),
        (["no-such-model"], 1, "it cannot be downloaded from the hub"),
        (["random", "--task", "translate"], 2, "No task is called 'translate'"),
        (["random", "--seq-len", "0"], 2, "--seq-len is 0"),
        (["random", "--seq-len", "-1"], 2, "--seq-len is -1"),
        (["random:tiny", "--seq-len", "100000"], 2, "has 512 positions"),
        (["random", "--batch", "0"], 2, "--batch is 0"),
        (["random", "--target", "gpu"], 2, "expected one of cpu, mobile, web"),
        (["random", "--target", "mobile"], 2, "pass --seq-len"),
        (["random", "--opset", "17"], 2, "opset 17 is not possible"),
        (["random", "--opset", "99"], 2, "opset 99 is not possible"),
        (["random:tiny", "--choices", "3"], 2, "--choices is for multiple-choice"),
    ],
)
def test_invalid_export_options_are_one_line(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    result = call("export", *arguments, "--output", tmp_path / "bundle")
    assert says in complaint(result, code)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["export", "", "--output", "x"], "CHECKPOINT"),
        (["export", "random:tiny", "--output="], "--output"),
        (["doctor", "reference", "--calibrate", ""], "--calibrate"),
        (["bench", "reference", ""], "MODEL"),
    ],
)
def test_an_empty_path_is_not_the_current_folder(arguments: list[str], name: str) -> None:
    assert complaint(call(*arguments), 2) == f"{name} is empty; expected a path or a name"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["optimize", "x.onnx", "-o", "y.onnx", "--outputs", ""], "--outputs is ''"),
        (["optimize", "x.onnx", "-o", "y.onnx", "--only", ""], "--only is ''"),
        (["optimize", "x.onnx", "-o", "y.onnx", "--only", "fold-nonorm", "--skip", " , "], "--skip is ' , '"),
        (["export", "random:tiny", "-o", "x", "--precision", "fp16", "--keep-float", ","], "--keep-float is ','"),
        (["doctor", "random:tiny", "--provider", ""], "--provider is ''"),
        (["verify", "x.onnx", "--against", "random:tiny", "--task="], "--task is ''"),
        (["evaluate", "reference", "--task", "classification", "--data", "x.tsv", "--labels", ""], "--labels is ''"),
    ],
)
def test_an_option_without_a_name_is_not_the_default(arguments: list[str], says: str) -> None:
    assert complaint(call(*arguments), 2) == f"{says}, which has no name; give one, or leave it out"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bench", "reference", "--batch", "x"], "--batch is x; expected a whole number, 1 to 1,024"),
        (["bench", "reference", "--batch", ""], "--batch is ''; expected a whole number, 1 to 1,024"),
        (["bench", "reference", "--budget", "x"], "--budget is x; expected a number"),
        (["run", "reference", "x", "--threads", "1.5"], "--threads is 1.5; expected a whole number, 1 to 1,024"),
        (["run", "reference", "x", "--top-k", "-1"], "--top-k is -1; expected a whole number from 1 on"),
        (["export", "random:tiny", "-o", "x", "--batch", f"{10**30}"], f"--batch is {10**30}; expected 1 to 1,024"),
        (["inspect", "reference", "--seq-len", f"{10**12}"], f"--seq-len is {10**12}; expected 1 to 1,048,576"),
    ],
)
def test_a_number_that_is_none_or_out_of_range_is_named(arguments: list[str], says: str) -> None:
    assert complaint(call(*arguments), 2) == says


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bench", "{there}", "--json", "{there}"], "--json is {there}, as MODEL is; choose another path"),
        (["bench", "portable:{there}", "--json", "{link}"], "--json is {link}, as MODEL is; choose another path"),
        (["report", "{there}", "--html", "{there}"], "--html is {there}, as RESULT is; choose another path"),
        (["report", "x", "--html", "{new}", "--plot", "{new}"], "--html is {new}, as --plot is; choose another path"),
        (["report", "{there}", "--html", "{pipe}"], "--html is {pipe}, a pipe or device, which would be replaced"),
        (["export", "random:tiny", "-o", "{pipe}"], "--output is {pipe}, a pipe or device, which would be replaced"),
        (["optimize", "{there}", "-o", "-"], "--output is -, and results are written to a path only"),
        (["bench", "{there}", "--json", "-"], "--json is -, and results are written to a path only"),
    ],
)
def test_an_output_never_replaces_an_input_or_a_device(arguments: list[str], says: str, tmp_path: Path) -> None:
    names = {name: str(tmp_path / f"{name}.onnx") for name in ("there", "link", "new", "pipe")}
    Path(names["there"]).write_text("x")
    Path(names["link"]).symlink_to("there.onnx")
    os.mkfifo(names["pipe"])
    assert says.format(**names) in complaint(call(*(argument.format(**names) for argument in arguments)), 2)
    assert names_in(tmp_path) == ["link.onnx", "pipe.onnx", "there.onnx"]
    assert Path(names["there"]).read_text() == "x"
    assert Path(names["pipe"]).is_fifo()


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--seed", "9" * 26], ["--seq-len", "many"], ["--colour", "red"]])
def test_options_of_the_wrong_type_are_named(option: list[str], tmp_path: Path) -> None:
    result = call("export", "random", "--output", tmp_path / "bundle", *option)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    assert option[0] in result.stderr


# optimize and passes


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MobileBERT as TorchScript writes it."""
    folder = tmp_path_factory.mktemp("theirs")
    export_with_torchscript(save_small(folder), folder / "theirs.onnx", ("start_logits", "end_logits"))
    return folder / "theirs.onnx"


def test_optimize_prints_the_ledger(theirs: Path, tmp_path: Path) -> None:
    result = call("optimize", theirs, "--output", tmp_path / "ours.onnx")
    assert result.exit_code == 0
    assert result.stderr.endswith(f"optimizing {theirs}\n")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'ours.onnx'}  0.3 MB → 0.2 MB, target cpu, opset 18")
    assert lines[1].split() == ["pass", "matches", "nodes", "MACs", "saved", "weights", "saved", "difference"]
    assert [line for line in lines if line.startswith("  fold-affine ")]
    assert [line for line in lines if line.startswith("  fuse-ffn ") and line.split()[1] == "2"]
    assert any(line.startswith("  without a match: ") for line in lines)
    assert any(
        re.match(r"  checked    centred error \S+ against float64 \(the input file: .*\), bound ", line)
        for line in lines
    )
    assert lines[-1].startswith("  took       ")
    assert names_in(tmp_path) == ["ours.onnx"]


def test_an_optimized_file_is_copied(theirs: Path, tmp_path: Path) -> None:
    assert call("optimize", theirs, "--output", tmp_path / "once.onnx").exit_code == 0
    result = call("optimize", tmp_path / "once.onnx", "--output", tmp_path / "twice.onnx")
    assert "unchanged  no pass applies, or the file is already optimized: it was copied" in result.stdout
    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "twice.onnx").read_bytes()


def test_optimize_prints_json(theirs: Path, tmp_path: Path) -> None:
    result = call("optimize", theirs, "-o", tmp_path / "ours.onnx", "--target", "mobile", "--opset", "20", "--json")
    printed = json.loads(result.stdout)
    assert (printed["path"], printed["target"], printed["opset"]) == (str(tmp_path / "ours.onnx"), "mobile", 20)
    assert (printed["changed"], printed["restarts"]) == (True, 0)
    assert printed["bytes_after"] == (tmp_path / "ours.onnx").stat().st_size
    assert printed["error"] <= printed["bar"]
    assert "fuse-attention" not in [entry["name"] for entry in printed["ledger"]]
    expected = {"name", "matches", "nodes_before", "nodes_after", "macs_saved", "bytes_saved", "error", "seconds"}
    assert all(set(entry) == expected | {"misses"} for entry in printed["ledger"])
    ends = [(entry["nodes_before"], entry["nodes_after"]) for entry in printed["ledger"]]
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert (ends[0][0], ends[-1][1]) == (printed["nodes_before"], printed["nodes_after"])


def test_passes_are_selected(theirs: Path, tmp_path: Path) -> None:
    def names(*options: str) -> list[str]:
        result = call("optimize", theirs, "-o", tmp_path / "ours.onnx", "--overwrite", "--json", *options)
        assert result.exit_code == 0, result.stderr
        return list(dict.fromkeys(entry["name"] for entry in json.loads(result.stdout)["ledger"]))

    some = ["select-index", "remove-nan-guard"]
    assert sorted(names("--only", ",".join(some))) == sorted(some)
    assert sorted(names("--only", some[0], "--only", some[1])) == sorted(some)
    assert names("--only", ",".join(some), "--skip", some[1]) == some[:1]
    assert {"fuse-attention", "fuse-ffn"} <= set(names())
    without = names("--no-functions")
    assert "accumulate-residual" in without
    assert not {"fuse-attention", "fuse-ffn"} & set(without)


def test_blocks_that_were_not_rewritten_are_explained(theirs: Path, tmp_path: Path) -> None:
    # Without flat streams there is no Gemm, and so no block in the form that is fused.
    options = ("--output", tmp_path / "ours.onnx", "--overwrite", "--skip", "flatten-tokens")
    result = call("optimize", theirs, *options)
    number = re.search(r"  (\d+) blocks were not rewritten; --explain prints which and why", result.stdout)
    assert number, result.stdout
    result = call("optimize", theirs, *options, "--explain")
    printed = re.findall(r"^  [a-z-]+ did not rewrite .+: .+$", result.stdout, re.MULTILINE)
    assert len(printed) == int(number[1])


def test_export_takes_the_options_of_passes(exported: Exports, tmp_path: Path) -> None:
    result = call(
        "export", exported().checkpoint, "-o", tmp_path / "bundle", "--no-functions", "--skip", "merge-linear"
    )
    assert result.exit_code == 0, result.stderr
    model = onnx.load(tmp_path / "bundle" / "onnx" / "model.onnx")
    assert not model.functions
    assert "merge-linear" not in result.stdout
    result = call("export", "random", "-o", tmp_path / "other", "--only", "merge")
    assert "no pass is called 'merge'" in complaint(result, 2)


def test_the_passes_are_listed() -> None:
    result = call("passes")
    assert (result.exit_code, result.stderr) == (0, "")
    printed = json.loads(call("passes", "--json").stdout)
    assert [stage["name"] for stage in printed] == [stage.name for stage in mbert_onnx.passes()]
    for stage in printed:
        assert set(stage) == {"name", "summary", "why", "targets"}
        assert f"    {stage['summary']}\n    why here: " in result.stdout
        assert f"    why here: {stage['why']}\n" in result.stdout
    assert "\naccumulate-residual [cpu, web]\n" in result.stdout


def text_model(text: str) -> Callable[[Path, Path], Path]:
    def make(_theirs: Path, folder: Path) -> Path:
        onnx.save(onnx.parser.parse_model(text), folder / "given.onnx")
        return folder / "given.onnx"

    return make


def bytes_model(content: Callable[[Path], bytes]) -> Callable[[Path, Path], Path]:
    def make(theirs: Path, folder: Path) -> Path:
        (folder / "given.onnx").write_bytes(content(theirs))
        return folder / "given.onnx"

    return make


def without_its_weights(theirs: Path, folder: Path) -> Path:
    save_with_weights_beside(onnx.load(theirs), folder / "given.onnx", "gone.bin")
    (folder / "gone.bin").unlink()
    return folder / "given.onnx"


def half_its_weights(theirs: Path, folder: Path) -> Path:
    save_with_weights_beside(onnx.load(theirs), folder / "given.onnx", "half.bin")
    os.truncate(folder / "half.bin", 50_000)
    return folder / "given.onnx"


def another_output(theirs: Path, folder: Path) -> Path:
    model = onnx.load(theirs)
    model.graph.output[1].name = "nowhere"
    onnx.save(model, folder / "given.onnx")
    return folder / "given.onnx"


def model_of(body: str, opset: int = 18) -> str:
    return f'<ir_version: 9, opset_import: ["": {opset}, "them": 1]> g (float[4] x) => (float[4] y) {{ {body} }}'


# Invalid files, and the error message of each.
UNREADABLE: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "nothing": (lambda theirs, folder: folder / "given.onnx", "does not exist; give a bundle or an .onnx file"),
    "a folder": (lambda theirs, folder: folder, "has no onnx/model.onnx"),
    "empty": (bytes_model(lambda _: b""), "holds no graph; it is empty, truncated, or not an ONNX model"),
    "text": (bytes_model(lambda _: b"some text\n"), "is not an ONNX model, or is corrupt"),
    "truncated": (bytes_model(lambda theirs: theirs.read_bytes()[:-9_999]), "is not an ONNX model, or is corrupt"),
    "random": (bytes_model(lambda _: random.Random(0).randbytes(9_999)), "is not an ONNX model, or is corrupt"),
    "no nodes": (text_model(model_of("")), "nothing computes y; the graph is incomplete"),
    "cyclic": (text_model(model_of("a = Add(x, b) b = Add(x, a) y = Relu(b)")), "the graph is cyclic"),
    "weights missing": (without_its_weights, "keeps its weights in gone.bin, which is not there"),
    "weights cut off": (half_its_weights, "keeps its weights in half.bin, which is too short"),
    "opset 10": (text_model(model_of("y = Relu(x)", 10)), "the graph is opset 10; expected 11 or newer"),
    "opset 99": (text_model(model_of("y = Relu(x)", 99)), "is opset 99; the installed onnxruntime goes up to"),
    "input missing": (text_model(model_of("y = Relu(nowhere)")), "nothing computes nowhere; the graph is incomplete"),
    "input missing in opset 13": (text_model(model_of("y = Relu(nowhere)", 13)), "nothing computes nowhere"),
    "output missing": (another_output, "nothing computes nowhere; the graph is incomplete"),
    "unknown operator": (text_model(model_of("y = them.Relu(x)")), "onnxruntime does not run the graph as it is"),
    "wrong sizes": (
        text_model(model_of("a = Concat <axis = 0> (x, x) b = Add(a, x) y = Identity(b)")),
        "onnxruntime does not run the graph as it is",
    ),
}


@pytest.mark.parametrize(("make", "says"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_file_that_cannot_be_optimized_is_one_line(
    make: Callable[[Path, Path], Path], says: str, theirs: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    result = call("optimize", make(theirs, tmp_path / "in"), "--output", tmp_path / "out" / "ours.onnx")
    assert says in complaint(result, 1)
    assert names_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("there.onnx", "exists; pass --overwrite to replace it"),
        ("folder.onnx", "is a folder; give the name of an .onnx file"),
        ("ours.bin", "does not end in .onnx"),
        ("ours", "does not end in .onnx"),
        ("no/such/ours.onnx", "is not a folder; create it, or choose another --output"),
        ("there.onnx/ours.onnx", "is not a folder; create it, or choose another --output"),
    ],
)
def test_an_invalid_output_path_is_one_line(output: str, says: str, theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_text("x")
    (tmp_path / "folder.onnx").mkdir()
    result = call("optimize", theirs, "--output", tmp_path / output)
    assert says in complaint(result, 1)
    assert names_in(tmp_path) == ["folder.onnx", "there.onnx"]
    assert (tmp_path / "there.onnx").read_text() == "x"


def test_overwrite_replaces_a_file_but_never_the_input(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_text("x")
    assert call("optimize", theirs, "-o", tmp_path / "there.onnx", "--overwrite").exit_code == 0
    before = (tmp_path / "there.onnx").read_bytes()
    (tmp_path / "link.onnx").symlink_to(tmp_path / "there.onnx")
    for output in ("there.onnx", "link.onnx"):
        result = call("optimize", tmp_path / "there.onnx", "-o", tmp_path / output, "--overwrite")
        assert "is the file that is read; choose another --output" in complaint(result, 1)
    assert (tmp_path / "there.onnx").read_bytes() == before
    assert names_in(tmp_path) == ["link.onnx", "there.onnx"]
    onnx.save(onnx.load(theirs), tmp_path / "e.onnx", save_as_external_data=True, location="w.onnx", size_threshold=0)
    weights = (tmp_path / "w.onnx").read_bytes()
    result = call("optimize", tmp_path / "e.onnx", "-o", tmp_path / "w.onnx", "--overwrite")
    assert "w.onnx has the weights of the file that is read; choose another --output" in complaint(result, 1)
    assert (tmp_path / "w.onnx").read_bytes() == weights


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--only", "fold"], "no pass is called 'fold'; expected some of accumulate-residual, clean-up,"),
        (["--skip", "fold-affine,fold"], "no pass is called 'fold'; expected some of"),
        (["--target", "gpu"], "--target is 'gpu'; expected one of cpu, mobile, web"),
        (["--opset", "17"], "opset 17 is not possible: graphs here start at 18"),
        (["--opset", "99"], "opset 99 is not possible"),
    ],
)
def test_invalid_optimize_options_are_one_line(options: list[str], says: str, theirs: Path, tmp_path: Path) -> None:
    assert says in complaint(call("optimize", theirs, "--output", tmp_path / "ours.onnx", *options), 2)
    assert names_in(tmp_path) == []


def test_an_opset_is_never_lowered(theirs: Path, tmp_path: Path) -> None:
    assert call("optimize", theirs, "-o", tmp_path / "new.onnx", "--opset", "20").exit_code == 0
    result = call("optimize", tmp_path / "new.onnx", "-o", tmp_path / "old.onnx", "--opset", "18")
    assert "the graph is opset 20 and cannot go down to 18" in complaint(result, 1)
    assert names_in(tmp_path) == ["new.onnx"]


def test_a_wrong_result_is_not_written(theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mbert_onnx.conversion import optimizer

    def spoiled(*args: Any, **kwargs: Any) -> Any:
        outcome = pipeline.optimize(*args, **kwargs)
        values = outcome.model.graph.initializers.values()
        weights = [(value, value.const_value) for value in values if value.const_value is not None]
        value, tensor = max(weights, key=lambda weight: weight[1].nbytes)
        value.const_value = ir.tensor(1.1 * tensor.numpy(), name=value.name)
        return outcome

    monkeypatch.setattr(optimizer, "optimize_graph", spoiled)
    result = call("optimize", theirs, "-o", tmp_path / "ours.onnx")
    assert "the optimised file is not the same model: centred error" in complaint(result, 1)
    assert names_in(tmp_path) == []


# Interrupts


def stop(process: subprocess.Popen[str], at: str, number: int) -> tuple[int, str]:
    """Sends a signal once a line of progress says `at`; the exit code, and all of standard error."""
    assert process.stderr is not None
    printed = ""
    while at not in printed:
        line = process.stderr.readline()
        assert line, printed
        printed += line
    time.sleep(0.05)  # into the stage, and not at its very start
    process.send_signal(number)
    _, rest = process.communicate()
    return process.returncode, printed + rest


def interruptible() -> None:
    """A shell starts what it runs in the background with SIGINT ignored; that is not what is tested here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("number", "code", "stage"),
    [
        (signal.SIGINT, 130, "reading"),
        (signal.SIGTERM, 143, "verifying"),
        # Each is an export of several seconds, and later stages are interrupted in the same way.
        pytest.param(signal.SIGINT, 130, "verifying", marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, 143, "tracing", marks=pytest.mark.full),
        pytest.param(signal.SIGINT, 130, "removing", marks=pytest.mark.full),
    ],
)
def test_an_interrupted_export_leaves_nothing(number: int, code: int, stage: str, tmp_path: Path) -> None:
    # Long enough in each stage: many positions are verified one batch after the other.
    save_small(tmp_path / "model", max_position_embeddings=3000)
    process = start("export", tmp_path / "model", "-o", tmp_path / "to" / "bundle", preexec_fn=interruptible)
    returned, printed = stop(process, stage, number)
    assert returned == code, printed
    assert "Traceback" not in printed
    assert [line for line in printed.splitlines() if not line.startswith("[")] == (
        [f"mbert-onnx: {'interrupted' if number == signal.SIGINT else 'terminated'}; no file is left half-written"]
    )
    assert list((tmp_path / "to").glob("**/*")) == []


def test_an_interrupt_within_exec_exits_with_130(tmp_path: Path) -> None:
    """`python -m` ends by SIGINT after such an interrupt, whatever the exit code, unless CPython's flag is cleared."""
    (tmp_path / "command.py").write_text(
        "import sys\nfrom mbert_onnx.cli.errors import guarded\n"
        "sys.exit(guarded(lambda: exec('raise KeyboardInterrupt')))\n"
    )
    done = subprocess.run([sys.executable, "-m", "command"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "mbert-onnx: interrupted; no file is left half-written\n")


# Closed pipes and other encodings


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("command", [["inspect", "reference"], ["inspect", "reference", "--json"], ["passes"]])
def test_a_closed_pipe_is_not_an_error(command: list[str]) -> None:
    """As `mbert-onnx inspect reference | head -1`, with the pipe closed before the first line; tables are rich's."""
    pipe = closed_pipe()
    process = start(*command, stdout=pipe)
    os.close(pipe)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


def test_head_closes_the_pipe_without_an_error(exported: Exports) -> None:
    command = f"{sys.executable} -m mbert_onnx inspect {exported().bundle} --json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=HOME)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_a_terminal_without_unicode(runtime_bundle: Callable[..., Any]) -> None:
    bundle = runtime_bundle("feature-extraction").folder
    process = start("run", bundle, "ada", environment={"PYTHONIOENCODING": "ascii:strict"})
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "64 numbers: " in out
    assert " ?  (--json prints all)" in out


def test_json_is_exact_without_unicode(exported: Exports) -> None:
    process = start(
        *("run", exported().bundle, "who?", "--context", "žluťoučký", "--json"),
        environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
    )
    out, err = process.communicate()
    assert err == ""
    assert json.loads(out)[0]["answer"] == "žluťoučký"


# run


@pytest.mark.parametrize(
    ("task", "arguments", "starts"),
    [
        ("question-answering", ["Who wrote it?", "--context", "Ada."], "0."),
        ("text-classification", ["Ada wrote it.", "--pair", "In London."], "0."),
        ("token-classification", ["Ada wrote the first program."], "0."),
        ("fill-mask", ["Ada wrote the first [MASK].", "--top-k", "2"], "0."),
        ("multiple-choice", ["Ada", "--choice", "wrote.", "--choice", "walked."], "0."),
        ("next-sentence-prediction", ["Ada wrote it.", "--pair", "In London."], "0."),
        ("pretraining", ["Ada wrote the first [MASK]."], "0."),
        ("feature-extraction", ["Ada"], "64 numbers: "),
    ],
)
def test_every_task_answers(task: str, arguments: list[str], starts: str, runtime_bundle: Callable[..., Any]) -> None:
    bundle = runtime_bundle(task).folder
    result = call("run", bundle, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(line.startswith(starts) for line in result.stdout.splitlines())
    assert json.loads(call("run", bundle, *arguments, "--json").stdout)


def test_standard_input_is_a_text(runtime_bundle: Callable[..., Any]) -> None:
    bundle = runtime_bundle("fill-mask").folder
    given = call("run", bundle, "Ada wrote [MASK].", "--json")
    for text in ("Ada wrote [MASK].\n", "Ada wrote [MASK].\r\n", "Ada wrote [MASK]."):
        read = call("run", bundle, "-", "--json", text=text)
        assert read.stdout == given.stdout


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("question-answering", ["Who wrote it?", "--context", "Ada wrote it."]),
        ("text-classification", ["Ada wrote it.", "--pair", "In London."]),
        ("multiple-choice", ["Ada", "--choice", "walked.", "--choice", "wrote."]),
    ],
)
def test_every_text_can_be_standard_input(task: str, arguments: list[str], runtime_bundle: Callable[..., Any]) -> None:
    bundle = runtime_bundle(task).folder
    given = call("run", bundle, *arguments, "--json")
    assert given.exit_code == 0
    for place in (0, len(arguments) - 1):
        replaced = [*arguments]
        replaced[place] = "-"
        assert call("run", bundle, *replaced, "--json", text=f"{arguments[place]}\n").stdout == given.stdout


@pytest.mark.parametrize(
    ("task", "arguments", "option", "expects"),
    [
        ("question-answering", ["Who?", "--context", "Ada wrote"], ["--max-answer-len", "1"], {"max_answer_len": 1}),
        ("question-answering", ["Who?", "--context", "Ada wrote"], ["--no-answer"], {"handle_impossible_answer": True}),
        ("token-classification", ["Ada wrote unbelievably"], ["--aggregation", "max"], {"aggregation": "max"}),
        ("token-classification", ["Ada wrote"], ["--aggregation", "none"], {"aggregation": "none"}),
        ("feature-extraction", ["Ada wrote"], ["--normalize"], {"normalize": True}),
    ],
)
def test_options_of_the_methods_are_options_of_run(
    task: str, arguments: list[str], option: list[str], expects: dict[str, Any], runtime_bundle: Callable[..., Any]
) -> None:
    bundle = runtime_bundle(task).folder
    if len(arguments) > 1:
        expects = {**expects, "context": arguments[2]}
    expected = as_json(mbert_onnx.run(bundle, arguments[0], **expects))
    result = call("run", bundle, *arguments, *option, "--json")
    assert json.loads(result.stdout) == expected
    assert call("run", bundle, *arguments, *option).exit_code == 0


def test_labels_are_printed_without_control_characters(runtime_bundle: Callable[..., Any], tmp_path: Path) -> None:
    bundle = shutil.copytree(runtime_bundle("text-classification").folder, tmp_path / "bundle")
    config = json.loads((bundle / "config.json").read_text())
    config["id2label"] = {"0": "\x1b[31mred\x1b]0;title\x07", "1": "a\nb\u202ec"}
    (bundle / "config.json").write_text(json.dumps(config))
    escaped = call("run", bundle, "Ada wrote it.", "--json").stdout
    assert not set(escaped) & {"\x1b", "\x07", "\u202e"}
    assert {label["label"] for label in json.loads(escaped)["labels"]} == {*config["id2label"].values()}
    printed = call("run", bundle, "Ada wrote it.").stdout
    assert sorted(line.split("  ")[1] for line in printed.splitlines()) == ["?[31mred?]0;title?", "a b?c"]


@pytest.mark.parametrize(
    ("given", "declared", "says"),
    [
        ("text-classification", "MobileBertForMaskedLM", "but fill-mask has the axes batch, sequence, vocab"),
        ("text-classification", "MobileBertForTokenClassification", "but token-classification has the axes batch, seq"),
        ("token-classification", "MobileBertForSequenceClassification", "but text-classification has the axes batch,"),
    ],
)
def test_outputs_of_another_task_with_the_same_name_are_refused(
    given: str, declared: str, says: str, runtime_bundle: Callable[..., Any], tmp_path: Path
) -> None:
    bundle = shutil.copytree(runtime_bundle(given).folder, tmp_path / "bundle")
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({**config, "architectures": [declared]}))
    (bundle / "mbert_onnx.json").unlink()
    for command, *options in (["run", "Ada wrote it."], ["doctor"], ["verify", "--against", str(bundle)]):
        line = complaint(call(command, bundle, *options), 1)
        assert f"has logits of shape [{'batch, ' if given.startswith('text') else 'batch, sequence, '}" in line
        assert says in line


def test_a_classifier_of_three_labels_answers_no_next_sentence(
    runtime_bundle: Callable[..., Any], tmp_path: Path
) -> None:
    """Its config names the other task; its logits have two axes in both."""
    folder = runtime_bundle("text-classification", num_labels=3).folder
    bundle = shutil.copytree(folder, tmp_path / "bundle")
    config = json.loads((bundle / "config.json").read_text())
    config["architectures"] = ["MobileBertForNextSentencePrediction"]
    (bundle / "config.json").write_text(json.dumps(config))
    (bundle / "mbert_onnx.json").unlink()
    commands = (["run", "It rains.", "--pair", "It is wet."], ["doctor"], ["verify", "--against", str(bundle)])
    for command, *options in commands:
        line = complaint(call(command, bundle, *options), 1)
        assert "has 3 labels in logits, but next-sentence-prediction has 2; " in line
    nsp = "--task", "next-sentence-prediction"
    line = complaint(call("verify", folder, "--against", folder, *nsp), 1)
    assert "has 3 labels in logits, but next-sentence-prediction has 2; " in line


@pytest.mark.parametrize("command", [["doctor"], ["verify", "--against", "random:tiny"]])
def test_a_tokenizer_that_is_a_pipe_is_refused(command: list[str], exported: Exports, tmp_path: Path) -> None:
    """In one line, without waiting for what nobody writes to the pipe; also in a folder."""
    pipe = tmp_path / "tokenizer.json"
    os.mkfifo(pipe)
    # In another process, which can be stopped while it opens a pipe.
    process = start(command[0], exported().model, *command[1:], "--tokenizer", pipe)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (
        1,
        f"mbert-onnx: {pipe} is neither a file nor a folder, but a pipe or device; give a file\n",
    )


def test_standard_input_that_is_not_utf8(exported: Exports) -> None:
    process = start("run", exported().bundle, "-", "--context", "x", stdin=subprocess.PIPE, encoding="latin-1")
    _, err = process.communicate("caf\xe9")
    assert process.returncode == 2
    assert err.startswith("mbert-onnx: The question is not valid Unicode")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["", "--context", "x"], "The question is empty"),
        (["who?"], "question-answering needs --context, which is missing"),
        (["who?", "--context", ""], "The context is empty"),
        (["who?", "--context", "x", "--top-k", "0"], "--top-k is 0; expected a whole number from 1 on"),
        (["who?", "--context", "x", "--threads", "0"], "--threads is 0"),
        (["who?", "--context", "x", "--choice", "y"], "--choice is not for question-answering, which takes --context"),
        (["who?", "--context", "x", "--max-answer-len", "0"], "--max-answer-len is 0"),
        (["who?", "--context", "x", "--normalize"], "--normalize is not for question-answering"),
        (["-", "--context", "-"], "TEXT and --context are both -; expected one, since standard input is read once"),
    ],
)
def test_a_text_that_cannot_be_answered_is_one_line(arguments: list[str], says: str, exported: Exports) -> None:
    assert says in complaint(call("run", exported().bundle, *arguments), 2)


@pytest.mark.parametrize("command", [["run", "x"], ["inspect"], ["verify", "--against", "random:tiny"]])
def test_a_model_that_is_not_there_is_one_line(command: list[str], tmp_path: Path) -> None:
    verb, *rest = command
    for model in (tmp_path / "nowhere", tmp_path):
        assert str(model) in complaint(call(verb, model, *rest), 1)


# inspect and verify


def test_inspect_prints_the_census(exported: Exports) -> None:
    result = call("inspect", exported().bundle, "--seq-len", "16")
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"opset 18, IR 8, by mbert-onnx {mbert_onnx.__version__}; file 0.2 MB"
    assert lines[1] == "inputs     input_ids int64 [batch, sequence]"
    nodes = next(line for line in lines if line.startswith("nodes "))
    assert nodes.startswith("nodes      13: ")
    assert "1 mbert.Embeddings" in nodes
    assert "1 mbert.Encoder" in nodes
    assert any("at batch 1, 16 tokens" in line for line in lines)


@pytest.mark.parametrize("place", ["bundle", "model"])
def test_inspect_prints_json(place: str, exported: Exports) -> None:
    printed = json.loads(call("inspect", getattr(exported(), place), "--json").stdout)
    assert printed["node_count"] == 13
    assert printed["nodes"]["mbert.Encoder"] == 1
    assert [port["name"] for port in printed["outputs"]] == ["start_logits", "end_logits"]


@pytest.mark.parametrize("length", ["0", "-5"])
def test_an_invalid_length_is_one_line(length: str, exported: Exports) -> None:
    result = call("inspect", exported().bundle, "--seq-len", length)
    assert f"--seq-len is {length}; expected 1 to 1,048,576" in complaint(result, 2)


def test_the_same_model(exported: Exports) -> None:
    found = exported()
    result = call("verify", found.bundle, "--against", found.checkpoint)
    assert result.exit_code == 0
    assert result.stdout.startswith("the same model: centred error ")
    assert "comparing with" in result.stderr


def test_not_the_same_model(exported: Exports, tmp_path: Path) -> None:
    save_small(tmp_path, vocab_size=101)
    result = call("verify", exported().bundle, "--against", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.startswith("NOT the same model: centred error ")
    result = call("verify", exported().bundle, "--against", tmp_path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["passed"] is False


def test_an_invalid_verification_is_one_line(exported: Exports, runtime_bundle: Callable[..., Any]) -> None:
    found = exported()
    result = call("verify", found.bundle, "--against", runtime_bundle("token-classification").folder)
    assert "question-answering needs start_logits" in complaint(result, 1)
    result = call("verify", found.bundle, "--against", found.checkpoint, "--task", "translate")
    assert "No task is called 'translate'" in complaint(result, 2)


# bench


def test_two_models_are_compared(exported: Exports, runtime_bundle: Callable[..., Any], tmp_path: Path) -> None:
    models = [exported().bundle, runtime_bundle("token-classification").folder]
    result = call("bench", *models, *SHORT, "--json", tmp_path / "report.json")
    assert result.exit_code == 0
    assert "median ms" in result.stdout
    assert all(line.startswith("[") for line in result.stderr.splitlines())
    printed = json.loads((tmp_path / "report.json").read_text())
    assert printed["arguments"]["seq_lens"] == [4]
    assert [subject["name"] for subject in printed["subjects"]] == [str(model) for model in models]


def test_a_model_is_compared_with_itself_as_markdown(exported: Exports) -> None:
    result = call("bench", exported().bundle, exported().bundle, *SHORT, "--markdown")
    assert result.exit_code == 0
    assert f"{exported().bundle} #2" in result.stdout
    assert "|---" in result.stdout.replace(" ", "")


@pytest.mark.full
def test_a_checkpoint_is_exported_first(tmp_path: Path) -> None:
    save_small(tmp_path / "model")
    result = call("bench", tmp_path / "model", *SHORT)
    assert result.exit_code == 0
    assert f"{tmp_path / 'model'}: tracing with torch.export" in result.stderr
    assert names_in(tmp_path) == ["model"]


@pytest.mark.parametrize(
    "task",
    ["question-answering", *(pytest.param(t, marks=pytest.mark.full) for t in ("fill-mask", "feature-extraction"))],
)
def test_transformers_own_export_is_compared_with(task: str, exported: Exports, tmp_path: Path) -> None:
    peer = f"transformers:{exported(task).checkpoint}"
    result = call("bench", peer, exported(task).bundle, *SHORT, "--json", tmp_path / "report.json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads((tmp_path / "report.json").read_text())
    assert [subject["name"] for subject in printed["subjects"]] == [peer, str(exported(task).bundle)]
    assert printed["subjects"][1]["difference"] < 1e-4


def other_inputs(folder: Path) -> Path:
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["pixels"], ["y"])],
        "g",
        [info("pixels", onnx.TensorProto.FLOAT, [1])],
        [info("y", onnx.TensorProto.FLOAT, [1])],
    )
    imports = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8), folder / "pixels.onnx")
    return folder / "pixels.onnx"


def corrupt(folder: Path) -> Path:
    (folder / "corrupt.onnx").write_bytes(b"not a protobuf")
    return folder / "corrupt.onnx"


@pytest.mark.parametrize("make", [other_inputs, corrupt])
def test_a_file_that_cannot_be_timed_is_one_line(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file = make(tmp_path)
    result = call("bench", file, *SHORT)
    assert file.name in complaint(result, result.exit_code)
    assert result.exit_code in (1, 2)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--provider", "gpu"], 2, "unknown provider 'gpu'"),
        (["--provider", "coreml"], 2, "provider 'coreml' is not in this onnxruntime"),
        (["--provider", "azure", *SHORT], 1, "took none of the"),
        (["--seq-len", "8,x"], 2, "--seq-len is '8,x'"),
        (["--seq-len", ""], 2, "--seq-len is ''"),
        (["--seq-len", "0"], 2, "--seq-len is 0"),
        (["--seq-len", "9999"], 2, "takes 1 to 40 tokens, not 9999: pass another --seq-len"),
        (["--threads", "0"], 2, "--threads is 0"),
        (["--batch", "0"], 2, "--batch is 0"),
        (["--batch", f"{10**30}"], 2, f"--batch is {10**30}; expected 1 to 1,024"),
        (["--batch", f"{10**12}"], 2, f"--batch is {10**12}; expected 1 to 1,024"),
        (["--seq-len", f"8,{10**12}"], 2, f"--seq-len is {10**12}; expected 1 to 1,048,576"),
        (["--budget", "0"], 2, "--budget is 0.0"),
        (["--budget", "1e12"], 2, "--budget is 1000000000000.0; expected seconds per cell such as 10, at most 86,400"),
        (["--precision", "2"], 2, "--precision is 2.0"),
        (["--json", "/no/such/folder/x.json"], 2, "--json is /no/such/folder/x.json; expected a file"),
        (["--json", "/"], 2, "--json is /; expected a file"),
    ],
)
def test_invalid_bench_options_are_one_line(options: Sequence[str], code: int, says: str, exported: Exports) -> None:
    assert says in complaint(call("bench", exported().bundle, *options), code)


@pytest.mark.parametrize("model", ["nowhere.onnx", "no/such/model"])
def test_a_model_to_time_that_is_not_there_is_one_line(model: str) -> None:
    assert model in complaint(call("bench", model, *SHORT), 1)
