"""Recipes: defaults, and a one-line error for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbert_onnx.errors import UsageError
from mbert_onnx.training.recipe import DistillRecipe, FinetuneRecipe, PretrainRecipe, read_recipe

PRETRAIN = """
output = "run"
[model]
preset = "ib-bert-laptop"
config = { num_hidden_layers = 2 }
[tokenizer]
vocab_size = 200
[data]
files = ["corpus.txt"]
[training]
steps = 10
"""


def recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    read = read_recipe(recipe(tmp_path, PRETRAIN), PretrainRecipe)
    assert (read.output, read.seed, read.training.steps, read.training.batch_size) == (Path("run"), 0, 10, 32)
    assert read.data.next_sentence
    assert read.model.config == {"num_hidden_layers": 2}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("steps = 10", "steps = 0", "training.steps: input should be greater than or equal to 1, found 0"),
        ("steps = 10", "step = 10", "training.steps: is missing; training.step: is not a key of a recipe of this kind"),
        ("steps = 10", "steps = 10\nbatch = 3", "training.batch: is not a key of a recipe of this kind"),
        (
            "steps = 10",
            'steps = 10\noptimizer = "sgd"',
            "training.optimizer: input should be 'adamw' or 'lamb', found 'sgd'",
        ),
        ('files = ["corpus.txt"]', "", "data: give files, mix or hub, one of them"),
        ("files", "passages = [9]\nnext_sentence = true\nfiles", "data: next_sentence needs rows of two parts"),
        ("files", 'id = "n"\nmix = [{ files = ["a"] }]\n#', "data: with mix, each source has its own passages"),
        ("files", "mix = [{ files = [] }]\n#", "data.mix.0.files: list should have at least 1 item"),
        ("files", 'mix = [{ files = ["run/a"] }]\n#', "data.mix.files is run/a, inside of output"),
        ("steps = 10", "steps = 10\nbatch_tokens = 99", "training.batch_tokens is for rows that are drawn at random"),
        ('preset = "ib-bert-laptop"', 'preset = "tiny"\ncheckpoint = "x"', "model: give checkpoint or preset"),
        ("vocab_size = 200", "", "tokenizer: give folder, vocab_size or both"),
        ("[tokenizer]\nvocab_size = 200", "", "tokenizer: is missing"),
        ('output = "run"', "output = run", "is not TOML"),
        ("steps = 10", f"steps = {'1' * 5000}", r"is not TOML \(a number has too many digits\); correct it"),
        ('output = "run"', 'output = "run\\u0000"', "has a NUL character"),
        ('files = ["corpus.txt"]', 'files = ["corpus\\u0000.txt"]', "has a NUL character"),
        ("steps = 10", f"steps = {10**30}", "training.steps: input should be less than or equal to 2147483647"),
        (
            "steps = 10",
            "steps = 10\nthreads = 5000",
            "training.threads: input should be less than or equal to 1024",
        ),
        ("steps = 10", "steps = 10\nlearning_rate = inf", "training.learning_rate: input should be a finite number"),
        ("steps = 10", "steps = 10\nwarmup = nan", "training.warmup: input should be"),
        ('output = "run"', f'output = "run"\nseed = {2**32}', "seed: input should be less than or equal to 2147483647"),
    ],
)
def test_mistakes_give_a_one_line_error(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read_recipe(recipe(tmp_path, PRETRAIN.replace(old, new)), PretrainRecipe)
    assert "\n" not in str(caught.value)


def test_a_mix_has_sources_with_weights_and_rows_of_one_part(tmp_path: Path) -> None:
    mix = 'mix = [{ files = ["a"], weight = 3, passages = [30, 60] }, { files = ["b"] }]\n#'
    text = PRETRAIN.replace("files", mix).replace("steps = 10", "steps = 10\nbatch_tokens = 512")
    data = read_recipe(recipe(tmp_path, text), PretrainRecipe).data
    assert [source.weight for source in data.mix] == [3, 1]
    assert data.draws_passages
    assert not data.next_sentence


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; expected a recipe"):
        read_recipe(tmp_path / "none.toml", PretrainRecipe)


def test_a_recipe_of_another_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="teacher: is missing"):
        read_recipe(recipe(tmp_path, PRETRAIN), DistillRecipe)


def test_fine_tuning_takes_epochs_or_steps(tmp_path: Path) -> None:
    text = 'output = "o"\n[model]\ncheckpoint = "c"\n[data]\ntask = "rte"\nfolder = "g"\n[training]\n'
    assert read_recipe(recipe(tmp_path, text + "epochs = 2.5"), FinetuneRecipe).training.epochs == 2.5
    with pytest.raises(UsageError, match="training: give steps or epochs, one of them"):
        read_recipe(recipe(tmp_path, text + "epochs = 1\nsteps = 3"), FinetuneRecipe)
