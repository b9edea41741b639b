"""The campaign against the standalone runtime: files that it has found, what it needs, and what it counts and keeps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from standalone_models import FLOAT, edited, function_model, longs, singles
from standalone_runtime import DTYPES, TYPES, Runtime, RuntimeLibraryError

from tests.helpers.fuzzing.standalone import building, run
from tests.helpers.fuzzing.standalone.building import NoFuzzerError, build_target, find_clang
from tests.helpers.fuzzing.standalone.run import campaign

X = {"x": singles([1])}
# Numbers of an output of 4 MB.
LARGE = 1 << 20
FINDINGS = sorted((Path(__file__).parent / "findings").glob("*.onnx"))


@pytest.mark.parametrize("file", FINDINGS, ids=lambda file: file.stem)
def test_files_that_were_findings(file: Path, runtime: Runtime) -> None:
    names = {dtype.name: dtype for dtype in map(DTYPES.__getitem__, TYPES.values())}
    before = runtime.memory()
    try:
        with runtime.model(file) as model:
            for size in (1, 3):
                feed = {}
                for port in model.description["inputs"]:
                    shape = [given if isinstance(given, int) else size for given in port["shape"] or []]
                    feed[port["name"]] = np.ones(shape, names[port["type"]])
                model.run(feed)
    except RuntimeLibraryError as error:
        assert "expected" in str(error) or "onnxruntime-web" in str(error)  # noqa: PT017  # some files are accepted
    assert runtime.memory() == before


def test_a_machine_without_clang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(building, "CLANGS", ("clang-that-is-not-installed",))
    with pytest.raises(NoFuzzerError, match="clang was not found; expected one of clang-that-is-not-installed"):
        find_clang()
    clang = tmp_path / "clang"
    clang.write_text("#!/bin/sh\necho /nowhere\n")
    clang.chmod(0o755)
    monkeypatch.setattr(building, "CLANGS", (str(clang),))
    with pytest.raises(NoFuzzerError, match="has no libFuzzer; expected it in /nowhere/lib: install"):
        find_clang()


@pytest.mark.full
def test_a_campaign_counts_runs_and_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_clang()
    except NoFuzzerError as error:
        pytest.skip(str(error))
    program, seeds = build_target(tmp_path / "built"), tmp_path / "seeds"
    seeds.mkdir()
    model = function_model("y = Expand(x, z)", X, [("y", FLOAT)], {"z": longs([LARGE])})
    (seeds / "expand.onnx").write_bytes(
        edited(model, lambda proto: proto.graph.input[0].type.tensor_type.ClearField("shape"))
    )
    assert campaign(program, seeds, tmp_path, seed=1, count=600, workers=2) == 0
    printed = capsys.readouterr().out
    assert "\n600 runs, 0 findings" in printed
    assert re.search(r"seed 2: 300 runs, \d[\d,]+ of [\d,]+ edges", printed)
    # Memory that the target allows, and this limit of libFuzzer's does not.
    monkeypatch.setattr(run, "OPTIONS", (*run.OPTIONS, f"-malloc_limit_mb={LARGE >> 20}"))
    assert campaign(program, seeds, tmp_path, seed=1, count=600, workers=1) == 1
    assert "1 findings" in capsys.readouterr().out
    assert len(list((tmp_path / "findings").iterdir())) == 1
