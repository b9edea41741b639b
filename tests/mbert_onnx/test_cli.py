"""The command line: what it prints where, its exit codes, and that no traceback ever reaches a user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import onnx
import pytest
from broken_checkpoints import FAULTS, Fault, RunsCode
from small_checkpoints import names_in, save_small
from typer.testing import CliRunner, Result

import mbert_onnx
from mbert_onnx.cli import app


class Exported(Protocol):
    checkpoint: Path
    bundle: Path
    model: Path
    metadata: Any


Exports = Callable[..., Exported]

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
    assert all(told.startswith("[") for told in progress), result.stderr
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


def test_the_version() -> None:
    assert call("--version").stdout == f"mbert-onnx {mbert_onnx.__version__}\n"


@pytest.mark.parametrize(
    "code",
    [
        "import mbert_onnx; dir(mbert_onnx)",
        "import sys; sys.argv[1:] = ['--help']; from mbert_onnx.cli import app; app(standalone_mode=False)",
        "import sys; sys.argv[1:] = ['bench', '--help']; from mbert_onnx.cli import app; app(standalone_mode=False)",
    ],
)
def test_help_and_import_load_nothing_heavy(code: str) -> None:
    heavy = ("torch", "transformers", "onnxruntime", "onnx", "onnx_ir", "numpy", "graphs", "perf")
    check = f"{code}\nimport sys; print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=HOME)
    assert done.stderr == "[]\n"


def test_every_name_of_the_api_is_there() -> None:
    assert set(mbert_onnx.__all__) >= {"export", "optimize", "passes", "bench", "run", "load", "inspect", "verify"}
    assert all(getattr(mbert_onnx, name) is not None for name in mbert_onnx.__all__)
    with pytest.raises(AttributeError, match="module 'mbert_onnx' has no attribute 'quantise'"):
        _ = mbert_onnx.quantise


# export


def test_an_export_is_told(exported: Exports, tmp_path: Path) -> None:
    result = call("export", exported().checkpoint, "--output", tmp_path / "bundle")
    assert result.exit_code == 0
    stages = [line.split("] ")[1].split(" ")[0] for line in result.stderr.splitlines()]
    assert stages == ["reading", "tracing", "removing", "writing", "verifying", "finishing"]
    assert f"{tmp_path / 'bundle' / 'onnx' / 'model.onnx'}  0.2 MB, question-answering, opset 18" in result.stdout
    assert "verified   centred error" in result.stdout
    assert "123 → " in result.stdout
    result = call("export", exported().checkpoint, "--output", tmp_path / "bundle")
    assert "exists; pass --overwrite to replace it" in complaint(result, 1)


def test_an_export_in_a_process_of_its_own_prints_json(exported: Exports, tmp_path: Path) -> None:
    options = ("--task", "embeddings", "--batch", "1", "--seq-len", "5", "--opset", "20", "--seed", "4", "--json")
    process = start("export", exported().checkpoint, "-o", tmp_path / "bundle", *options)
    out, err = process.communicate()
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told == json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())
    assert (told["task"], told["opset"], told["seed"]) == ("feature-extraction", 20, 4)
    assert told["shapes"] == {"batch": 1, "choices": None, "sequence": 5}
    assert "the checkpoint has no pooler, so there is no pooler_output" in told["notes"]
    assert [output["name"] for output in told["graph"]["outputs"]] == ["last_hidden_state"]


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
        (["no-such-model"], 1, "not to be had from the hub"),
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
def test_an_export_that_cannot_be_is_one_line(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    result = call("export", *arguments, "--output", tmp_path / "bundle")
    assert says in complaint(result, code)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--seq-len", "many"], ["--colour", "red"]])
def test_options_of_the_wrong_kind_are_told(option: list[str], tmp_path: Path) -> None:
    result = call("export", "random", "--output", tmp_path / "bundle", *option)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    assert option[0] in result.stderr


# Interrupts


def stop(process: subprocess.Popen[str], at: str, number: int) -> tuple[int, str]:
    """Sends a signal once a line of progress says `at`; the exit code, and all of standard error."""
    assert process.stderr is not None
    told = ""
    while at not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    time.sleep(0.05)  # into the stage, and not at its very start
    process.send_signal(number)
    _, rest = process.communicate()
    return process.returncode, told + rest


def interruptible() -> None:
    """A shell starts what it runs in the background with SIGINT ignored; that is not what is tested here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("number", "code", "stage"),
    [
        (signal.SIGINT, 130, "reading"),
        (signal.SIGTERM, 143, "verifying"),
        pytest.param(signal.SIGINT, 130, "verifying", marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, 143, "tracing", marks=pytest.mark.full),
        pytest.param(signal.SIGINT, 130, "removing", marks=pytest.mark.full),
    ],
)
def test_an_interrupted_export_leaves_nothing(number: int, code: int, stage: str, tmp_path: Path) -> None:
    # Long enough in each stage: many positions are verified one batch after the other.
    save_small(tmp_path / "model", max_position_embeddings=3000)
    process = start("export", tmp_path / "model", "-o", tmp_path / "to" / "bundle", preexec_fn=interruptible)
    returned, told = stop(process, stage, number)
    assert returned == code, told
    assert "Traceback" not in told
    assert [line for line in told.splitlines() if not line.startswith("[")] == (
        ["mbert-onnx: interrupted; nothing half-written is left"] if number == signal.SIGINT else []
    )
    assert list((tmp_path / "to").glob("**/*")) == []


# Output that cannot be written as usual


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_gone_is_no_error(options: list[str], exported: Exports) -> None:
    """As `mbert-onnx inspect bundle | head -1`, only that it is gone before the first line."""
    pipe = closed_pipe()
    process = start("inspect", exported().bundle, *options, stdout=pipe)
    os.close(pipe)
    assert process.communicate()[1] == ""


def test_the_first_line_is_enough_for_some(exported: Exports) -> None:
    command = f"{sys.executable} -m mbert_onnx inspect {exported().bundle} --json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=HOME)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_a_terminal_without_unicode(exported: Exports) -> None:
    process = start(
        "run", exported("feature-extraction").bundle, "ada", environment={"PYTHONIOENCODING": "ascii:strict"}
    )
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "64 numbers: " in out
    assert " ?  (--json prints all)" in out


def test_json_is_never_approximate(exported: Exports) -> None:
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
def test_every_task_answers(task: str, arguments: list[str], starts: str, exported: Exports) -> None:
    result = call("run", exported(task).bundle, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(line.startswith(starts) for line in result.stdout.splitlines())
    told = json.loads(call("run", exported(task).bundle, *arguments, "--json").stdout)
    assert told


def test_standard_input_is_a_text(exported: Exports) -> None:
    bundle = exported("fill-mask").bundle
    given = call("run", bundle, "Ada wrote [MASK].", "--json")
    for text in ("Ada wrote [MASK].\n", "Ada wrote [MASK].\r\n", "Ada wrote [MASK]."):
        read = call("run", bundle, "-", "--json", text=text)
        assert read.stdout == given.stdout


def test_standard_input_that_is_no_text(exported: Exports) -> None:
    process = start("run", exported().bundle, "-", "--context", "x", stdin=subprocess.PIPE, encoding="latin-1")
    _, err = process.communicate("caf\xe9")
    assert process.returncode == 2
    assert err.startswith("mbert-onnx: The question is no valid Unicode")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["", "--context", "x"], "The question is empty"),
        (["who?"], "context"),
        (["who?", "--context", ""], "The context is empty"),
        (["who?", "--context", "x", "--top-k", "0"], "top_k is 0"),
        (["who?", "--context", "x", "--threads", "0"], "threads is 0"),
        (["who?", "--context", "x", "--choice", "y"], "choices"),
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


def test_what_a_model_consists_of(exported: Exports) -> None:
    result = call("inspect", exported().bundle, "--seq-len", "16")
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"opset 18, IR 8, by mbert-onnx {mbert_onnx.__version__}; file 0.2 MB"
    assert lines[1] == "inputs     input_ids int64 [batch, sequence]"
    nodes = next(line for line in lines if line.startswith("nodes "))
    assert nodes.startswith("nodes      27: ")
    assert "2 mbert.BottleneckAttention, 2 mbert.StackedFFN" in nodes
    assert any("at batch 1, 16 tokens" in line for line in lines)


@pytest.mark.parametrize("place", ["bundle", "model"])
def test_what_a_model_consists_of_as_json(place: str, exported: Exports) -> None:
    told = json.loads(call("inspect", getattr(exported(), place), "--json").stdout)
    assert told["node_count"] == 27
    assert told["nodes"]["mbert.StackedFFN"] == 2
    assert [port["name"] for port in told["outputs"]] == ["start_logits", "end_logits"]


@pytest.mark.parametrize("length", ["0", "-5"])
def test_a_length_that_cannot_be_inspected(length: str, exported: Exports) -> None:
    result = call("inspect", exported().bundle, "--seq-len", length)
    assert f"--seq-len is {length}; expected at least 1" in complaint(result, 2)


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


def test_a_verification_that_cannot_be_is_one_line(exported: Exports) -> None:
    found = exported()
    result = call("verify", found.bundle, "--against", exported("token-classification").bundle)
    assert "question-answering needs start_logits" in complaint(result, 1)
    result = call("verify", found.bundle, "--against", found.checkpoint, "--task", "translate")
    assert "No task is called 'translate'" in complaint(result, 2)


# bench


def test_two_models_are_compared(exported: Exports, tmp_path: Path) -> None:
    models = [exported().bundle, exported("token-classification").bundle]
    result = call("bench", *models, *SHORT, "--json", tmp_path / "report.json")
    assert result.exit_code == 0
    assert "median ms" in result.stdout
    assert all(line.startswith("[") for line in result.stderr.splitlines())
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["arguments"]["seq_lens"] == [4]
    assert [subject["name"] for subject in told["subjects"]] == [str(model) for model in models]


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
    told = json.loads((tmp_path / "report.json").read_text())
    assert [subject["name"] for subject in told["subjects"]] == [peer, str(exported(task).bundle)]
    assert told["subjects"][1]["difference"] < 1e-4


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
        (["--seq-len", "0"], 2, "--seq-len is [0]"),
        (["--seq-len", "9999"], 2, "pass a shorter --seq-len"),
        (["--threads", "0"], 2, "--threads is [0]"),
        (["--batch", "0"], 2, "--batch is [0]"),
        (["--budget", "0"], 2, "--budget is 0.0"),
        (["--precision", "2"], 2, "--precision is 2.0"),
        (["--json", "/no/such/folder/x.json"], 2, "--json is /no/such/folder/x.json; expected a file"),
        (["--json", "/"], 2, "--json is /; expected a file"),
    ],
)
def test_a_measurement_that_cannot_be_is_one_line(
    options: Sequence[str], code: int, says: str, exported: Exports
) -> None:
    assert says in complaint(call("bench", exported().bundle, *options), code)


@pytest.mark.parametrize("model", ["nowhere.onnx", "no/such/model"])
def test_a_model_to_time_that_is_not_there_is_one_line(model: str) -> None:
    assert model in complaint(call("bench", model, *SHORT), 1)
