"""Run folder: checkpoints, lock, and replacement of an existing run without loss."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from mbert_onnx.errors import TrainingError
from mbert_onnx.training.loop.run_folder import Position, Run
from mbert_onnx.training.loop.run_replacement import ASIDE, FORGOTTEN, MOVING, Replacement


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def begin(run: Run, recipe: str = "recipe", *, overwrite: bool = False) -> None:
    with run.opened(recipe, overwrite=overwrite):
        run.settle()


def write(folder: Path) -> None:
    (folder / "state").write_text("all of it")


def trained(run: Run) -> None:
    begin(run)
    run.finish(write)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_replaces_the_one_before_it(run: Run) -> None:
    begin(run)
    assert run.position() is None
    for position in (Position(0, 500), Position(0, 1000), Position(1, 20)):
        run.save(position, write)
        assert run.position() == position
    assert names_in(run.folder / "checkpoints") == ["01-000020"]


def test_a_failing_checkpoint_keeps_the_previous_one(run: Run) -> None:
    begin(run)
    run.save(Position(0, 10), write)

    def full(folder: Path) -> None:
        (folder / "state").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingError, match="No space left on device"):
        run.save(Position(0, 20), full)
    assert run.position() == Position(0, 10)
    assert names_in(run.folder / "checkpoints") == ["00-000010"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 3")])
def test_a_failing_model_write_keeps_the_last_checkpoint(run: Run, error: Exception) -> None:
    begin(run)
    run.save(Position(0, 10), write)

    def full(folder: Path) -> None:
        (folder / "state").write_text("half")
        raise error

    with pytest.raises(TrainingError, match=r"cannot be written \((No space|unexpected pos 3: the disk may be full)"):
        run.finish(full)
    assert names_in(run.folder) == ["checkpoints", "recipe.toml"]
    assert run.position() == Position(0, 10)


def test_partial_files_are_removed(run: Run) -> None:
    begin(run)
    for name in ("checkpoints/.partial-00-000010", ".partial-rows", ".partial-model"):
        (run.folder / name).mkdir()
    (run.folder / ".partial-recipe.toml").touch()
    assert run.position() is None
    begin(run)
    assert names_in(run.folder) == ["checkpoints", "recipe.toml"]
    assert names_in(run.folder / "checkpoints") == []


def test_a_run_without_a_checkpoint_is_replaced_by_another_recipe(run: Run) -> None:
    begin(run)
    begin(run, "another")
    run.save(Position(0, 10), write)
    with pytest.raises(TrainingError, match="was started with another recipe"):
        begin(run)
    begin(run, overwrite=True)
    assert run.position() is None


@pytest.mark.parametrize("others", [["thesis.txt"], ["thesis.txt", "recipe.toml"]])
def test_a_folder_that_is_not_a_run_is_not_changed(run: Run, others: list[str]) -> None:
    run.folder.mkdir()
    for name in others:
        (run.folder / name).write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(TrainingError, match="exists and is not a run folder; choose another output"):
            begin(run, overwrite=overwrite)
    assert names_in(run.folder) == sorted(others)


def test_other_files_stay_when_a_run_is_replaced(run: Run) -> None:
    trained(run)
    (run.folder / "thesis.txt").write_text("years of work")
    begin(run, "another", overwrite=True)
    assert names_in(run.folder) == ["checkpoints", "recipe.toml", "thesis.txt"]


def test_the_folder_may_be_a_symbolic_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    run.folder.symlink_to(tmp_path / "elsewhere")
    trained(run)
    begin(run, "another", overwrite=True)
    assert run.folder.is_symlink()
    assert names_in(tmp_path / "elsewhere") == ["checkpoints", "recipe.toml"]


def test_a_failing_run_restores_the_one_it_replaces(run: Run) -> None:
    trained(run)
    before = names_in(run.folder)
    with suppress(ValueError), run.opened("another", overwrite=True):
        assert not run.is_done
        (run.folder / "rows").mkdir()
        raise ValueError("no such data")
    assert names_in(run.folder) == before
    assert run.is_of("recipe")
    assert (run.model / "state").read_text() == "all of it"


def test_a_run_that_fails_before_it_begins_is_removed(tmp_path: Path) -> None:
    run = Run(tmp_path / "new" / "run")
    with suppress(ValueError), run.opened("recipe", overwrite=False):
        run.tokenizer.mkdir()
        raise ValueError("no such data")
    assert names_in(tmp_path) == []


def test_a_folder_that_was_there_stays_when_a_run_fails(run: Run) -> None:
    run.folder.mkdir()
    with suppress(ValueError), run.opened("recipe", overwrite=False):
        raise ValueError("no such data")
    assert names_in(run.folder) == []


def test_tokenized_texts_and_interrupted_runs_stay(run: Run) -> None:
    with suppress(KeyboardInterrupt), run.opened("recipe", overwrite=False):
        raise KeyboardInterrupt
    assert names_in(run.folder) == ["checkpoints", "recipe.toml"]
    with suppress(ValueError), run.opened("another", overwrite=True):
        run.rows.mkdir()
        raise ValueError("no such model")
    assert names_in(run.folder) == ["checkpoints", "recipe.toml"]  # the one that was replaced is back
    new = Run(run.folder.with_name("new"))
    with suppress(ValueError), new.opened("recipe", overwrite=False):
        new.rows.mkdir()
        raise ValueError("no such model")
    assert names_in(new.folder) == ["checkpoints", "recipe.toml", "rows"]


@pytest.mark.parametrize("stage", [MOVING, ASIDE])
def test_a_run_killed_during_replacement_restores_the_old_one(run: Run, stage: str) -> None:
    trained(run)
    before = names_in(run.folder)
    Replacement(run.folder, ["model"] if stage == MOVING else before).put_aside()
    if stage == MOVING:
        (run.folder / ASIDE).rename(run.folder / MOVING)
    else:
        (run.folder / "rows").mkdir()
        (run.folder / "recipe.toml").write_text("another")
    with pytest.raises(TrainingError, match="is trained already"):
        begin(run)
    assert names_in(run.folder) == before
    assert run.is_of("recipe")


def test_an_interrupted_removal_is_completed(run: Run) -> None:
    begin(run)
    (run.folder / FORGOTTEN).mkdir()
    begin(run)
    assert names_in(run.folder) == ["checkpoints", "recipe.toml"]


def test_a_run_folder_is_locked(run: Run) -> None:
    with run.opened("recipe", overwrite=False):
        with pytest.raises(TrainingError, match=r"another process trains in .*; wait for it"):
            begin(Run(run.folder))
        with pytest.raises(TrainingError, match="another process trains in"):
            begin(Run(run.folder), "another", overwrite=True)
        assert run.is_of("recipe")
    begin(Run(run.folder))
