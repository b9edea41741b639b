"""The registry of prefixes: every row is complete, and docs, help and errors agree with it."""

from __future__ import annotations

import inspect
import re
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

from mbert_onnx import bench
from mbert_onnx.benchmark.models import table
from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.benchmark.models.prefixes import PLAIN, PREFIXES, Prefix, build_function, parse
from mbert_onnx.cli.application import app
from mbert_onnx.errors import UsageError
from perf.peers import npm, openvino, optimum
from perf.peers.checkpoint_converters import CHECKPOINT_CONVERTERS
from perf.peers.onnx_converters import ONNX_CONVERTERS
from perf.sessions.runtimes import module_name

ROOT = Path(__file__).parents[4]
OPTIMUM = next(row for row in PREFIXES if row.name == "optimum-PRESET")
ROWS = pytest.mark.parametrize("row", PREFIXES, ids=lambda row: row.name)


def packages(row: Prefix) -> tuple[str, ...]:
    """The packages that perf installs for a prefix, with their versions."""
    if row.name == "ort-web":
        return (f"{npm.ORT_WEB}=={npm.ORT_WEB_VERSION}",)
    if row.name in CHECKPOINT_CONVERTERS:
        return CHECKPOINT_CONVERTERS[row.name].packages
    if row.name in ONNX_CONVERTERS:
        return ONNX_CONVERTERS[row.name].packages
    if row.name.startswith("openvino"):
        return openvino.PACKAGES
    return optimum.PACKAGES if row is OPTIMUM else ()


@ROWS
def test_its_builder_takes_its_options(row: Prefix) -> None:
    inspect.signature(build_function(row)).bind(None, None, **row.options)


@ROWS
def test_its_runtime_exists(row: Prefix) -> None:
    assert not row.runtime or find_spec(module_name(row.runtime)) is not None


@ROWS
def test_its_packages_are_those_that_are_installed(row: Prefix) -> None:
    assert row.installs == tuple(package.partition("==")[0] for package in packages(row))


def test_every_name_is_distinct() -> None:
    names = [name for row in PREFIXES for name in row.names]
    assert len(names) == len(set(names))
    assert OPTIMUM.names == tuple(f"optimum-{preset}" for preset in optimum.PRESETS)
    assert all(preset in OPTIMUM.help for preset in optimum.PRESETS)


def test_help_lists_every_prefix() -> None:
    printed = CliRunner().invoke(app, ["bench", "--help"]).stdout
    entries = [" ".join(entry.split()) for entry in re.split(r"\n *\n", printed)]  # a long line is wrapped
    expected = [f"{row.usage} {row.help}" for row in PREFIXES]
    assert [entry for entry in entries if entry in expected] == expected  # each as an entry of its own, in order


def test_the_table_of_the_docs_is_current() -> None:
    page = (ROOT / table.PAGE).read_text(encoding="utf-8")
    assert table.with_table(page) == page, "run python -m mbert_onnx.benchmark.models.table"
    with pytest.raises(ValueError, match="no markers"):
        table.with_table("a page")


def test_names_are_split_at_the_first_colon() -> None:
    nested = parse("ort-dynamic:transformers:random:tiny")
    assert (nested.prefix, nested.inner) == ("ort-dynamic", "transformers:random:tiny")
    preset = parse("optimum-avx2:x.onnx")
    assert (preset.prefix, preset.inner, preset.row) == ("optimum-avx2", "x.onnx", OPTIMUM)
    for plain in ("random", "random:tiny", "google/mobilebert-uncased", "none.onnx"):
        found = parse(plain)
        assert (found.prefix, found.inner, found.row) == ("", plain, PLAIN)


def test_an_existing_path_has_no_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("int8:x.onnx", "foo:x.onnx"):
        Path(name).touch()
        assert parse(name).row is PLAIN


@pytest.mark.parametrize("name", ["foo:bar", "optimum-PRESET:x", "optimum-sse:x", ":x"])
def test_the_error_for_an_unknown_prefix_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(name)
    prefix = name.partition(":")[0]
    assert str(caught.value).startswith(f"{name}: {prefix}: is not a known prefix, and {name} is not an existing file")
    assert all(f" {row.name}:" in str(caught.value) for row in PREFIXES)


def test_a_model_is_built_once(exported: Exports) -> None:
    bundle = str(exported().bundle)
    with ExitStack() as stack:
        builder = ModelBuilder(stack, task=None, seed=0, seq_lens=None, batch=1, kernels="portable", progress=None)
        optimized = builder.build(f"optimized:{bundle}")
        inner = builder.build(bundle)
        assert builder.build(f"optimized:{bundle}") is optimized
        assert builder.build(bundle) is inner
        kept = builder.build(f"optimized:portable:{bundle}")
        assert (kept.kernels, kept.subject.name) == ("portable", f"optimized:portable:{bundle}")
        assert builder.build(f"native:{bundle}").kernels == "native"
        assert builder.model(f"portable:{bundle}").subject.library is None


def test_an_unknown_prefix_is_refused_before_any_model_is_built() -> None:
    with pytest.raises(UsageError, match=r"foo:random: foo: is not a known prefix"):
        bench(["random:tiny", "ort-dynamic:foo:random"])


def test_a_prefix_without_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^int8: names no model; expected int8:CHECKPOINT$"):
        parse("int8:")


@pytest.mark.parametrize("name", ["C:/none.onnx", "a:b.onnx"])
def test_a_path_with_a_colon_is_not_a_prefix(name: str) -> None:
    assert parse(name).prefix == ""
