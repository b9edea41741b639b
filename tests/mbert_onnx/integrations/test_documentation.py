"""README.md and docs/: commands run as printed, commands and options exist, links, anchors and paths resolve."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Collection
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import kernel_targets
import pytest
import readme_table
import typer.main
from documented_commands import FENCE, PAGES, ROOT, Step, blocks, run
from exported_checkpoints import Exports
from perf_reports import measurement, report

from graphs.ledger import Entry
from graphs.lowering.bit_search import Trial
from graphs.reports.census import Census, Port
from graphs.reports.tensor_ranges import Numbers
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.cli.application import app
from mbert_onnx.conversion.comparison.padding import Padding, PaddingEffect
from mbert_onnx.conversion.damage import Damage
from mbert_onnx.conversion.reports import OptimizeReport, TextChecks, Verdict
from mbert_onnx.conversion.verification.answers import AnswerComparison
from mbert_onnx.conversion.verification.text_check import TextVerdict
from mbert_onnx.diagnosis.ranges import Diagnosis, Prospect
from perf.machine.footprint import Footprint
from perf.results.report import RaggedCell, RaggedResult
from perf.statistics import Ratio

DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/text/README.md")),
        *(ROOT / "examples" / "text").glob("*/README.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = {
    name: {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for name, command in COMMANDS.items()
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

# Options of other programs that pages mention: pip, make, pytest, accelerate, apt, compilers, our build scripts.
OTHER_OPTIONS = re.compile(
    r"^\s*(pip|make|git|apt|apt-get|accelerate|cc|clang|qemu-\S+|npm|pytest|python3?|gofmt|javac|rustfmt|tsc)\b"
)
ROOM = re.compile(r"^(mbert_onnx|graphs|perf|tests|examples|docs)/[\w./*{},-]*$")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")

# Parts of an output that change from run to run, or from machine to machine.
NUMBER = re.compile(r"\d[\d,]*(\.\d+)?(e[+-]?\d+)?")
VARYING_LINE = re.compile(
    r"^(warning: |\* |.* cores?; onnxruntime |.* native kernels, |note |library |instruction set )"
)


def masked(lines: list[str]) -> list[str]:
    """Outputs as they are compared: no varying lines, `#` for each number, one space for each run of spaces.

    A star marks an unstable time, and rulers are as wide as their tables: both are removed.
    """
    kept = [line for line in lines if not VARYING_LINE.match(line)]
    squeezed = [re.sub(r"[\s─*]+", " ", NUMBER.sub("#", line)).strip() for line in kept]
    return [line for line in squeezed if line]


def words(lines: list[str]) -> set[str]:
    """The words of the lines; a comparison without a significant difference counts as a ratio."""
    return set(" ".join(lines).replace("no significant difference", "#× (#–#)").split())


def without_blocks(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs both make them of plain words."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    for _, steps in blocks(page.read_text(encoding="utf-8")):
        for step in steps:
            if step.exempt:
                continue
            result = run(step, tmp_path)
            assert result.returncode == 0, f"{step}: {result.stderr}"
            if step.expected is None:
                continue
            printed, expected = masked(step.printed), masked(step.expected)
            if step.command.startswith("mbert-onnx bench "):
                # How rich breaks the lines of a table depends on the widths of the numbers in it.
                assert words(printed) == words(expected), str(step)
            else:
                assert printed == expected, str(step)


def documented(page: Path) -> list[str]:
    """All commands of `mbert-onnx` and `make` in a page: in blocks, and in inline code."""
    text = page.read_text(encoding="utf-8")
    steps: list[Step] = [step for _, steps in blocks(text) for step in steps if step.language != "python"]
    lines = [step.command for step in steps]
    lines += [line.strip() for line in re.findall(r"^    (.*)$", text, re.MULTILINE)]
    lines += INLINE.findall(without_blocks(page))
    return [part for line in lines for part in re.split(r" \| ", line)]


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_documented_commands_and_options_exist(page: Path) -> None:
    for line in documented(page):
        if line.startswith("mbert-onnx "):
            words = shlex.split(line, comments=True)[1:]
            if words[0].startswith("-"):
                assert words[0] in ("--help", "--version"), line
            elif words[0] not in ("COMMAND", "…"):
                assert words[0] in COMMANDS, line
                unknown = {w.split("=")[0] for w in words if re.match("--?[a-z]", w)} - OPTIONS[words[0]]
                assert not unknown, line
        elif line.startswith("make "):
            for target in (word for word in shlex.split(line, comments=True)[1:] if re.fullmatch(r"[a-z0-9-]+", word)):
                assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) or target.startswith("-"), line


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_options_in_inline_code_exist(page: Path) -> None:
    known = {flag for flags in OPTIONS.values() for flag in flags} | set(FOREIGN)
    for code in INLINE.findall(without_blocks(page)):
        if not OTHER_OPTIONS.match(code):
            assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code)) <= known, code


FOREIGN = ("--strict",)


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_links_and_anchors_resolve(page: Path) -> None:
    for target in LINK.findall(without_blocks(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if ROOT / "docs" in page.parents:
            assert ROOT / "docs" in file.parents, f"{target}: the site has no such page; name the path in inline code"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    for code in INLINE.findall(without_blocks(page)):
        if ROOM.match(code) and code not in CREATED and not any(word in code for word in PLACEHOLDERS):
            assert list(ROOT.glob(code.rstrip("/"))) if "*" in code else (ROOT / code).exists(), code


# Files that the reader of a recipe creates.
CREATED = (
    "perf/sessions/runtimes/onnx_reference_session.py",
    "graphs/kernels/isa/x86/avx_vnni_int8.cc",
)
# Parts of paths that stand for a name which the reader chooses.
PLACEHOLDERS = ("NAME", "my_", "...")


def test_the_table_of_the_readme_has_a_report_s_medians(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n", encoding="utf-8")
    report("portable:random").write_json(tmp_path / "readme.json")
    readme_table.main(str(tmp_path / "readme.json"), str(page))
    text = page.read_text(encoding="utf-8")
    assert "| mbert-onnx float32, plain onnxruntime | – | – | 52.7 ± 0.5 | – | – | – | 8.30 ± 4.15 | – |  |" in text
    assert "old" not in text
    assert text.startswith("before\n<!--")
    assert text.endswith("-->\nafter\n")


def test_the_targets_of_the_kernels_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two models: 1.25 times as fast as the other, with 128 tokens and one thread; the others are not measured."""
    slower = Ratio(0.8, 0.75, 0.81, significant=True)
    for name, first, other in (("int8", "native:int8:random", "litert-int8:random"), ("fp32", "fp16:random", "x")):
        made = report(other)
        first_subject = replace(made.subjects[0], name=first, footprint=Footprint((50.0,), 50.0, 71_000_000))
        ours, theirs = measurement(first, 8.0, None), measurement(other, 10.0, slower)
        batch = RaggedResult(first, ours, ours, Ratio(1.1, 1.0, 1.2, significant=False))
        replace(
            made,
            arguments=replace(made.arguments, ragged=(16, 128)),
            subjects=(first_subject, *made.subjects[1:]),
            cells=(replace(made.cells[0], measurements=(ours, theirs)),),
            ragged=(RaggedCell((16, 128), 1, (4,) * 6, (batch,)),),
        ).write_json(tmp_path / f"{name}.json")
    (tmp_path / "profile.txt").write_text("avx512-vnni; peak rates: int8 400 GMAC/s, float32 130 GMAC/s\n")
    kernel_targets.main(*(str(tmp_path / name) for name in ("int8.json", "fp32.json", "profile.txt")))
    printed = capsys.readouterr().out
    for line in (
        "| int8 over LiteRT int8, 128 tokens, 1 thread | 1.25 (1.23–1.33) | ≥ 1.4 | ≥ 1.55 | **no** |",
        "| int8 over LiteRT int8, 8 tokens, 1 thread | – | ≥ 2.2 | ≥ 2.8 | not measured |",
        "| int8, batch of 2 texts of 16 to 128 tokens, 1 thread: by its texts one by one | 1.10 (1.00–1.20) | ≤ 1.08 "
        "| – | **no** |",
        "| int8, 128 tokens, 1 thread: by the time of 2.69 GMAC in registers at 400 GMAC/s | 1.19 | ≤ 1.35 | ≤ 1.25 "
        "| goal |",
        "| int8, load time | 50.0 ms | ≤ 60 ms | – | yes |",
        "| int8, peak memory | 71.0 MB | ≤ 72 MB | – | yes |",
        "| fp32, peak memory | – | ≤ 135 MB | – | not measured |",
        "3 of 63 targets and 1 of 22 goals are reached.",
        "fp16 ran without the native kernels.",
    ):
        assert line in printed.splitlines(), printed
    for missing in (("int8.json", "other.json"), ("int8.json", "fp32.json", "other.txt")):
        with pytest.raises(SystemExit, match=r"kernel_targets: .*other.*`make bench-kernels` writes the files"):
            kernel_targets.main(*(str(tmp_path / name) for name in missing))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(T)", "transformers:random")
    compared = {name for one in kernel_targets.COMPARISONS for name in (one.model, one.other, kernel_targets.DYNAMIC)}
    assert compared <= {*re.findall(r"[\w:-]+", makefile)}


def test_the_site_lists_every_page() -> None:
    config = (ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"([\w/-]+\.md)$", config, re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


def floors() -> dict[str, int]:
    """The floor of each folder and file in the tables of docs/architecture.md, by its path without `.py`."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `([\w/]+?)/?(?:\.py)?` \|", text, re.MULTILINE)
    return {path.removesuffix("/__init__"): int(floor) for floor, path in rows}


def imports(file: Path) -> set[str]:
    """The paths, without `.py`, of all modules and names that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}".replace(".", "/") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.replace(".", "/") for alias in node.names}
    return found


def room(path: str, rooms: Collection[str]) -> str | None:
    """The row of the tables that a path belongs to: the longest that it begins with. A package is its `__init__`."""
    holders = [name for name in rooms if path == name or ("/" in name and path.startswith(f"{name}/"))]
    return max(holders, key=len, default=None)


@pytest.mark.parametrize("package", ["mbert_onnx", "graphs", "perf"])
def test_folders_import_only_folders_on_lower_floors(package: str) -> None:
    heights = floors()
    for file in sorted((ROOT / package).rglob("*.py")):
        path = str(file.relative_to(ROOT).with_suffix("")).removesuffix("/__init__")
        own = room(path, heights)
        for target in imports(file):
            other = room(target, heights)
            if own is None or other is None or own == other or not target.startswith(f"{package}/"):
                continue
            assert heights[other] < heights[own], f"{path} (floor {heights[own]}) imports {target} ({heights[other]})"


def test_every_folder_has_a_floor() -> None:
    heights = floors()
    for package in ("mbert_onnx", "graphs", "perf"):
        for folder in (ROOT / package).iterdir():
            if (folder / "__init__.py").exists():
                assert f"{package}/{folder.name}" in heights


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        ("export.md", (Verdict, Damage, Padding, PaddingEffect, Entry, Census, Port, Trial, Shapes)),
        ("optimize.md", (OptimizeReport,)),
        ("text-files.md", (TextChecks, TextVerdict, AnswerComparison)),
        ("precision.md", (Diagnosis, Prospect, Numbers)),
    ],
)
def test_keys_of_json_are_documented(page: str, kinds: Collection[type]) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    unwritten = {"plan", "pieces", "multiple", "int32", "seq_len"}
    names = {field.name for kind in kinds for field in fields(kind)} - unwritten
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_keys_of_the_metadata_are_documented(exported: Exports) -> None:
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    found = exported("question-answering").metadata
    record = found["precisions"]["fp32"]
    keys = [*found, *record, *(key for name in ("shapes", "verification", "padding", "graph") for key in record[name])]
    assert [name for name in keys if f"`{name}`" not in text] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_changelog_lists_the_version() -> None:
    import mbert_onnx

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[?([\w.]+)", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert mbert_onnx.__version__ in headings
    assert all(left != right for left, right in pairwise(headings))


def test_masks_hide_numbers_only() -> None:
    shown = ["x  12.5 ± 0.3*", "warning: busy", "a  1,234 → 5e-07"]
    assert masked(shown) == ["x # ± #", "a # → #"]


def test_the_recipe_of_a_pass_works() -> None:
    """The class and the tests of docs/development/adding-a-pass.md, run as they are printed."""
    page = (ROOT / "docs" / "development" / "adding-a-pass.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for _, steps in blocks(page):
        for step in steps:
            if step.language == "python":
                exec(step.command, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
