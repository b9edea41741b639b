"""Several precisions side by side: what is added, what is replaced, what is left alone, and that no kill breaks one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mbert_onnx.bundles import atomic
from mbert_onnx.bundles.reader import read_bundle
from mbert_onnx.bundles.records import FILE, METADATA, TEXT, TEXT_VARIANTS, VARIANTS, Records
from mbert_onnx.bundles.writer import Change, StagedBundle, check_destination, writing
from mbert_onnx.errors import BundleError

NO_PID = 2**22 + 1  # beyond Linux' largest

NOTES = ("notes.md", "onnx/model_q4.onnx", "onnx/README", "old/reports/first.txt")


def names_in(folder: Path) -> list[str]:
    """Names in a folder; that of `small_checkpoints` would import torch into each child process."""
    return sorted(path.name for path in folder.iterdir())


def hashes(checkpoint: str) -> dict[str, str]:
    return {"weights": checkpoint, "config": "the same", "tokenizer": "the same"}


def fill(folder: Path, precision: str, checkpoint: str, text: str) -> None:
    """Writes what `export` writes; the texts of the files say where they are from."""
    model = folder / VARIANTS[precision]
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_text(text)
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["MobileBertForQuestionAnswering"], "from": checkpoint})
    )
    (folder / "tokenizer.json").write_text(checkpoint)
    record = {"schema": 1, "task": "fill-mask", "precision": precision, "text": text, FILE: VARIANTS[precision]}
    files = ("config.json", METADATA, VARIANTS[precision], "tokenizer.json")
    Records(hashes(checkpoint), {precision: record}, files).write(folder)


def write(
    output: Path, precision: str = "fp32", checkpoint: str = "a", text: str = "first", *, overwrite: bool = False
) -> StagedBundle:
    with writing(output, overwrite, precision) as staged:
        fill(staged.folder, precision, checkpoint, text)
    return staged


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one precision with files of its user."""
    write(tmp_path / "bundle")
    for name in NOTES:
        (tmp_path / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bundle" / name).write_text("mine")
    (tmp_path / "bundle" / "link").symlink_to("../elsewhere")
    (tmp_path / "bundle" / "empty").mkdir()
    return tmp_path / "bundle"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("leads", [True, False])
def test_a_linked_onnx_folder_is_refused_before_the_work(bundle: Path, precision: str, leads: bool) -> None:
    (bundle / "onnx").rename(bundle.parent / ("onnx" if leads else "moved"))
    (bundle / "onnx").symlink_to(bundle.parent / "onnx")
    line = "onnx is a link; expected a folder: put the folder that it leads to in its place, or choose another --output"
    with pytest.raises(BundleError, match=line):
        check_destination(bundle, True, precision)


def assert_notes(bundle: Path) -> None:
    assert [(bundle / name).read_text() for name in NOTES] == ["mine"] * len(NOTES)
    assert (bundle / "link").readlink() == Path("../elsewhere")
    assert (bundle / "empty").is_dir()


def texts(bundle: Path) -> dict[str, str]:
    """The text of each precision's file, which must be that of its record."""
    records = Records.read(bundle).precisions
    assert list(json.loads((bundle / METADATA).read_text())["precisions"]) == list(records)  # none without its file
    found = {precision: (bundle / VARIANTS[precision]).read_text() for precision in records}
    assert found == {precision: record["text"] for precision, record in records.items()}
    return found


# Added


def test_another_precision_is_added(bundle: Path) -> None:
    before = (bundle / VARIANTS["fp32"]).stat()
    staged = write(bundle, "int8", text="second")
    assert staged.change is Change.ADD
    assert staged.beside == ["onnx/model.onnx"]
    assert write(bundle, "fp16", text="third").beside == ["onnx/model.onnx", "onnx/model_int8.onnx"]
    assert texts(bundle) == {"fp32": "first", "fp16": "third", "int8": "second"}
    after = (bundle / VARIANTS["fp32"]).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert_notes(bundle)
    assert names_in(bundle.parent) == ["bundle"]


def test_the_records_of_a_bundle(bundle: Path) -> None:
    """Readers of one precision find the default's record at the top, as before; the others stand below it."""
    write(bundle, "int8", text="second")
    content = json.loads((bundle / METADATA).read_text())
    assert (content["precision"], content["text"]) == ("fp32", "first")
    assert {name: record["file"] for name, record in content["precisions"].items()} == {
        "fp32": "onnx/model.onnx",
        "int8": "onnx/model_int8.onnx",
    }
    assert content["checkpoint_sha256"] == hashes("a")
    assert content["files"] == sorted(["config.json", METADATA, VARIANTS["fp32"], VARIANTS["int8"], "tokenizer.json"])


def test_the_folder_stands_for_float32_and_a_path_for_its_precision(bundle: Path) -> None:
    write(bundle, "int8", text="second")
    for path, precision in ((bundle, "fp32"), (bundle / VARIANTS["fp32"], "fp32"), (bundle / VARIANTS["int8"], "int8")):
        found = read_bundle(path)
        assert found.model_path == bundle / VARIANTS[precision]
        assert found.metadata is not None
        assert found.metadata["precision"] == precision
        assert found.metadata["checkpoint_sha256"] == hashes("a")
    (bundle / VARIANTS["fp32"]).unlink()
    assert read_bundle(bundle).model_path == bundle / VARIANTS["int8"]
    other = read_bundle(bundle / "onnx" / "model_q4.onnx")  # which has no record of its own
    assert other.metadata == {"schema": 1, "task": "fill-mask", "checkpoint_sha256": hashes("a")}


def write_with_text(
    output: Path, precision: str = "fp32", checkpoint: str = "a", *, overwrite: bool = False
) -> StagedBundle:
    """Writes a precision with a text file and its labels."""
    with writing(output, overwrite, precision, text=True) as staged:
        fill(staged.folder, precision, checkpoint, "with text")
        (staged.folder / TEXT_VARIANTS[precision]).write_text(checkpoint)
        (staged.folder / "labels.txt").write_text("good\nbad\n")
        records = Records.read(staged.folder)
        record = {**records.precisions[precision], TEXT: {FILE: TEXT_VARIANTS[precision]}}
        files = (*(records.files or ()), TEXT_VARIANTS[precision], "labels.txt")
        Records(records.checkpoint, {precision: record}, files).write(staged.folder)
    return staged


def test_a_text_file_goes_with_its_model_file(bundle: Path) -> None:
    own = bundle / TEXT_VARIANTS["int8"]
    write_with_text(bundle, "int8")
    found = read_bundle(own)
    assert (found.metadata or {})["precision"] == "int8"
    assert found.model_path == own
    assert read_bundle(bundle).model_path == bundle / VARIANTS["fp32"]
    with pytest.raises(BundleError, match=r"model_int8.onnx exists; pass --overwrite"):
        write_with_text(bundle, "int8")
    staged = write(bundle, "int8", text="again", overwrite=True)  # without its text file, which is of the old one
    assert staged.outdated == ["onnx/model_text_int8.onnx"]
    assert not own.exists()
    records = Records.read(bundle)
    assert TEXT_VARIANTS["int8"] not in (records.files or ())
    assert records.precisions["int8"]["text"] == "again"
    assert_notes(bundle)


def test_a_text_file_that_export_did_not_write_is_not_removed(bundle: Path) -> None:
    mine = bundle / TEXT_VARIANTS["fp32"]
    mine.write_text("mine")
    assert write(bundle, text="second", overwrite=True).outdated == []
    assert mine.read_text() == "mine"
    (bundle / VARIANTS["fp32"]).unlink()
    with pytest.raises(BundleError, match=r"model_text.onnx exists, and mbert_onnx.json has no record of it; pass"):
        write_with_text(bundle)
    write_with_text(bundle, overwrite=True)
    assert mine.read_text() == "a"


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_list_of_labels_of_the_user_stays(bundle: Path, precision: str) -> None:
    (bundle / "labels.txt").write_text("mine")
    assert write_with_text(bundle, precision, overwrite=True).left_alone == ["labels.txt"]
    assert (bundle / "labels.txt").read_text() == "mine"
    assert "labels.txt" not in (Records.read(bundle).files or ())
    write(bundle, checkpoint="b", overwrite=True)
    assert (bundle / "labels.txt").read_text() == "mine"


def test_text_files_of_another_checkpoint_are_replaced(bundle: Path) -> None:
    write_with_text(bundle, "int8")
    with pytest.raises(BundleError, match=r"replace or remove onnx/model.onnx, onnx/model_int8.onnx and"):
        write(bundle, checkpoint="b")
    staged = write(bundle, checkpoint="b", overwrite=True)
    assert staged.removed == ["onnx/model_int8.onnx", "onnx/model_text_int8.onnx"]
    assert not (bundle / "labels.txt").exists()
    assert_notes(bundle)


def test_a_record_of_a_text_file_that_is_gone_does_not_count(tmp_path: Path) -> None:
    write_with_text(tmp_path / "bundle")
    (tmp_path / "bundle" / TEXT_VARIANTS["fp32"]).unlink()
    assert TEXT not in Records.read(tmp_path / "bundle").precisions["fp32"]


def test_a_lower_precision_may_come_first(tmp_path: Path) -> None:
    write(tmp_path / "bundle", "int8")
    assert json.loads((tmp_path / "bundle" / METADATA).read_text())["precision"] == "int8"
    write(tmp_path / "bundle", "fp32", text="second")
    assert json.loads((tmp_path / "bundle" / METADATA).read_text())["precision"] == "fp32"
    assert texts(tmp_path / "bundle") == {"fp32": "second", "int8": "first"}


def test_what_a_user_changed_in_shared_files_stays(bundle: Path) -> None:
    (bundle / "config.json").write_text("{}")
    (bundle / "tokenizer.json").unlink()
    write(bundle, "int8")
    assert (bundle / "config.json").read_text() == "{}"
    assert (bundle / "tokenizer.json").read_text() == "a"  # what is missing comes back
    write(bundle, "int8", text="second", overwrite=True)
    assert (bundle / "config.json").read_text() == "{}"


def test_a_precision_whose_file_is_gone_is_written_again(bundle: Path) -> None:
    write(bundle, "int8")
    (bundle / VARIANTS["int8"]).unlink()
    assert list(Records.read(bundle).precisions) == ["fp32"]
    write(bundle, "int8", text="second")
    assert texts(bundle)["int8"] == "second"


def test_a_precision_that_appears_during_the_work_is_not_lost(tmp_path: Path) -> None:
    """Two exports at the same time: each finds the other's precision when it ends."""
    with writing(tmp_path / "bundle", overwrite=False, precision="int8") as staged:
        fill(staged.folder, "int8", "a", "second")
        # Of another process: its folder has another number.
        other = staged.folder.rename(tmp_path / "aside")
        write(tmp_path / "bundle")
        other.rename(staged.folder)
    assert texts(tmp_path / "bundle") == {"fp32": "first", "int8": "second"}


# Refused


def test_what_is_there_is_not_replaced_unasked(bundle: Path) -> None:
    line = r"onnx/model\.onnx exists; pass --overwrite to replace it, or choose another --output"
    with pytest.raises(BundleError, match=line):
        write(bundle)
    # Before the checkpoint is read, it may be another one's bundle, which is another error.
    assert check_destination(bundle, False, "fp32") is Change.REPLACE_MODEL
    assert check_destination(bundle, False, "int8") is Change.ADD
    assert texts(bundle) == {"fp32": "first"}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_another_checkpoint_is_not_added(bundle: Path, precision: str) -> None:
    """Whether the bundle has that precision or not, the error says what it is, and what --overwrite would do."""
    write(bundle, "int8", text="second")
    with pytest.raises(BundleError) as refused:
        write(bundle, precision, checkpoint="b")
    assert str(refused.value) == (
        f"{bundle} exists, a bundle of another checkpoint (different: weights); pass --overwrite to replace or remove "
        "onnx/model.onnx, onnx/model_int8.onnx and 3 others, and leave link, notes.md and 3 others alone, or "
        "choose another --output"
    )
    other = {**hashes("a"), "config": "x", "tokenizer": "y"}
    with pytest.raises(BundleError, match=r"\(different: config, tokenizer\)"):
        check_destination(bundle, False, precision, other)
    assert texts(bundle) == {"fp32": "first", "int8": "second"}
    # What was announced is what happens.
    staged = write(bundle, precision, "b", "third", overwrite=True)
    assert staged.left_alone == sorted(["link", *NOTES])
    assert texts(bundle) == {precision: "third"}


def test_a_bundle_of_an_older_version(bundle: Path) -> None:
    """It is read as before, and does not say which checkpoint it is of."""
    (bundle / METADATA).write_text('{"task": "fill-mask", "precision": "fp32", "versions": {}}')
    found = read_bundle(bundle)
    assert found.metadata == {"task": "fill-mask", "precision": "fp32", "versions": {}}
    with pytest.raises(BundleError, match=r"does not say of which checkpoint it is \(mbert_onnx.json is damaged"):
        check_destination(bundle, False, "int8")
    staged = write(bundle, "int8", text="second", overwrite=True)
    assert staged.removed == ["onnx/model.onnx"]
    assert staged.left_alone == sorted([*NOTES, "link"])
    assert texts(bundle) == {"int8": "second"}
    assert_notes(bundle)


def test_a_file_of_somebody_else_is_not_replaced_unasked(bundle: Path) -> None:
    (bundle / VARIANTS["int8"]).write_text("of another tool")
    with pytest.raises(
        BundleError, match=r"model_int8\.onnx exists, and mbert_onnx\.json has no record of it; pass --o"
    ):
        write(bundle, "int8")
    write(bundle, "int8", text="second", overwrite=True)
    assert texts(bundle) == {"fp32": "first", "int8": "second"}


@pytest.mark.parametrize("name", ["config.json", "onnx/model_int8.onnx"])
def test_a_folder_in_the_place_of_a_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink(missing_ok=True)
    (bundle / name).mkdir()
    with pytest.raises(BundleError, match=f"{name} is a folder, expected a file; move it away"):
        check_destination(bundle, True, "int8")


# Replaced


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_precision_is_replaced_alone(bundle: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchanges:  # as on a system that cannot exchange two names
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    write(bundle, "int8", text="second")
    staged = write(bundle, "fp32", text="third", overwrite=True)
    assert staged.change is Change.REPLACE_MODEL
    assert (staged.removed, staged.left_alone) == ([], [])
    assert texts(bundle) == {"fp32": "third", "int8": "second"}
    assert_notes(bundle)
    assert names_in(bundle.parent) == ["bundle"]


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_another_checkpoint_replaces_only_the_bundle_s_own_files(
    bundle: Path, exchanges: bool, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no links on this disk")

    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    write(bundle, "int8", text="second")
    bundle.chmod(0o750)
    staged = write(bundle, "fp16", "b", "third", overwrite=True)
    assert staged.change is Change.REPLACE_BUNDLE
    assert staged.removed == ["onnx/model.onnx", "onnx/model_int8.onnx"]
    assert staged.left_alone == sorted([*NOTES, "link"])
    assert texts(bundle) == {"fp16": "third"}
    assert (bundle / "tokenizer.json").read_text() == "b"
    assert_notes(bundle)
    assert bundle.stat().st_mode & 0o777 == 0o750
    assert names_in(bundle.parent) == ["bundle"]


def test_no_list_in_a_bundle_makes_other_files_its_own(bundle: Path) -> None:
    content = json.loads((bundle / METADATA).read_text())
    (bundle.parent / "secret").write_text("mine")
    content["files"] += [*NOTES, "../secret", str(bundle.parent / "secret"), "onnx", ".", 7]
    (bundle / METADATA).write_text(json.dumps(content))
    write(bundle, checkpoint="b", overwrite=True)
    assert_notes(bundle)
    assert (bundle.parent / "secret").read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"precisions": 3, "files": {"a": 1}}', '{"precision": [1]}', '{"precisions": {"fp32": 1}}']
)
def test_records_that_cannot_be_read_need_overwrite(bundle: Path, content: str) -> None:
    (bundle / METADATA).write_text(content)
    with pytest.raises(BundleError, match=r"does not say of which checkpoint it is .* pass --overwrite to replace or"):
        write(bundle, "int8")
    write(bundle, "int8", text="second", overwrite=True)
    assert texts(bundle) == {"int8": "second"}
    assert_notes(bundle)


def test_what_is_saved_in_the_old_folder_at_the_last_moment_is_kept(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Editors save by a rename, which a link does not follow."""
    exchange = atomic._exchange

    def overtaken(first: Path, second: Path) -> bool:
        (second / "saved").write_text("later")
        os.utime(second / "saved", (2e9, 2e9))
        (second / "saved").rename(second / "notes.md")
        (second / "new.md").write_text("later")
        return exchange(first, second)

    monkeypatch.setattr(atomic, "_exchange", overtaken)
    write(bundle, checkpoint="b", overwrite=True)
    assert (bundle / "notes.md").read_text() == "later"
    assert (bundle / "new.md").read_text() == "later"


def test_the_remains_of_a_kill_do_not_bring_old_files_back(bundle: Path) -> None:
    """What a killed process did not delete is older than what its user has saved since."""
    left = bundle.parent / f".bundle.replaced-{NO_PID}"
    fill(left, "fp32", "a", "old")
    (left / "notes.md").write_text("old")
    os.utime(left / "notes.md", (1, 1))
    write(bundle, "int8")
    assert (bundle / "notes.md").read_text() == "mine"
    assert names_in(bundle.parent) == ["bundle"]


# Killed

# Writes a bundle in child processes, each of which is killed before its next change of the disk, until one is not.
KILLED = """
import itertools, os, shutil, sys
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from mbert_onnx.bundles import atomic
from test_several_precisions import CASES, check_after_a_kill, prepare
CHANGES = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}
case, exchanges, folder = CASES[sys.argv[2]], sys.argv[3] == "True", Path(sys.argv[4])
if not exchanges:
    atomic._exchange = lambda *_: False
for step in itertools.count():
    bundle = prepare(folder / str(step))
    child = os.fork()
    if not child:
        left = [step]
        def count(event, arguments):
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if event in CHANGES or writes or event == "ctypes.dlopen":
                if not left[0]:
                    os._exit(9)
                left[0] -= 1
        sys.addaudithook(count)
        case(bundle)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    check_after_a_kill(bundle, case, exchanges, done=status == 0)
    shutil.rmtree(folder / str(step))
    if not status:
        print(step)
        break
"""

CASES: dict[str, Callable[[Path], object]] = {
    "add": lambda bundle: write(bundle, "fp16", text="new"),
    "replace": lambda bundle: write(bundle, "fp32", text="new", overwrite=True),
    "another": lambda bundle: write(bundle, "fp32", "b", "new", overwrite=True),
}
BEFORE = {"fp32": "first", "int8": "second"}
AFTER = {
    "add": {**BEFORE, "fp16": "new"},
    "replace": {**BEFORE, "fp32": "new"},
    "another": {"fp32": "new"},
}


def prepare(folder: Path) -> Path:
    folder.mkdir(parents=True)
    write(folder / "bundle")
    write(folder / "bundle", "int8", text="second")
    for name in NOTES:
        (folder / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "bundle" / name).write_text("mine")
    return folder / "bundle"


def check_after_a_kill(bundle: Path, case: Callable[[Path], object], exchanges: bool, done: bool) -> None:
    """Checks that a complete bundle is there, the old or the new; and that the next export leaves nothing behind."""
    name = next(name for name, other in CASES.items() if other is case)
    if exchanges:  # else there is a moment at which the bundle has its other name, until the next export
        assert read_bundle(bundle).tokenizer_path is not None
        found = texts(bundle)
        assert found == AFTER[name] if done else found in (BEFORE, AFTER[name])
        assert (bundle / "tokenizer.json").read_text() == ("b" if found == {"fp32": "new"} else "a")
        assert all((bundle / name).read_text() == "mine" for name in NOTES)
    if bundle.exists():
        CASES["replace" if name == "add" else name](bundle)
    else:
        with pytest.raises(BundleError, match="pass --overwrite"):
            write(bundle)  # which brings it back first
        assert texts(bundle) == BEFORE
    assert all((bundle / name).read_text() == "mine" for name in NOTES)
    assert names_in(bundle.parent) == ["bundle"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("case", "exchanges"),
    [
        ("add", True),
        ("another", True),
        ("replace", False),
        *(
            pytest.param(*other, marks=pytest.mark.full)
            for other in (("add", False), ("another", False), ("replace", True))
        ),
    ],
)
def test_a_kill_at_any_moment_leaves_a_complete_bundle(case: str, exchanges: bool, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), case, str(exchanges), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5  # so many moments were tried
