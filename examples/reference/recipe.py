"""Recipe of one training of the built-in models, named as in the Makefile.

    python -m examples.reference.recipe NAME FOLDER CORPUS [NAME=VALUE...]

NAME is one of these; the recipe is written to FOLDER/NAME.toml. Values replace those of `DEFAULTS`.

| name | trains |
|---|---|
| `opinion-RATE` | the teacher of the sentiment students, at a learning rate |
| `embed-PART` | the embedding student, by transfer; part 1 begins with a new model |
| `squad-1` | the same as `embed-1` with the texts of the data folder and WordNet alone |
| `none` | the same student by masked words, without a teacher |
| `tuning-ARM-RATE` | the sentiment student of an arm (`transfer` or `none`), at a learning rate |
| `sentiment-ARM-SEED` | the same at the best learning rate of the arm, on training and validation reviews |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from examples.experiments.fill_recipe import fill, main
from examples.reference.choice import best_rate

TEMPLATES = Path(__file__).parent / "templates"

# Steps of each part of the transfer, and of each fine-tuning; the number of parts; words of the vocabulary; the weight
# of the last feature map, which makes up for its variance of 0.1.
DEFAULTS = {
    "steps": "5000",
    "parts": "2",
    "sentiment_steps": "3000",
    "vocab_size": "22000",
    "feature_maps": "10",
    "seed": "0",
}

# 7.0 M parameters, 7.2 MB in int8. As wide as the teacher between blocks, so that feature maps and sentence
# vectors are compared directly; narrow inside of them.
SHAPE = """\
preset = "mobilebert"

[{table}.config]
num_hidden_layers = 6
hidden_size = 384
intra_bottleneck_size = 128
intermediate_size = 512
num_feedforward_networks = 4
embedding_size = 96
max_position_embeddings = 256
classifier_activation = false
hidden_dropout_prob = 0.0
attention_probs_dropout_prob = 0.0"""

# Weights and passages in tokens of each group of corpus files. Passages are as short as questions, and as long as rows.
MIX = (
    (("paragraphs", "passages", "articles"), 45, "[24, 48, 62, 62, 126]"),
    (("questions", "search_questions"), 20, "[]"),
    (("reviews", "opinions", "products", "editorials", "tweets"), 15, "[62]"),
    (("glosses", "definitions"), 15, "[30, 62, 126]"),
    (("speeches", "computing"), 5, "[62, 126]"),
)
SQUAD_MIX = (
    (("paragraphs",), 45, "[24, 48, 62, 62, 126]"),
    (("questions",), 20, "[]"),
    (("reviews",), 15, "[62]"),
    (("glosses",), 20, "[30, 62, 126]"),
)

# Texts with opinions beside the labelled reviews.
UNLABELLED = ("opinions", "products", "editorials", "tweets")

# Peak learning rate of the first part of the transfer and of pre-training, and of the parts that continue.
FIRST_RATE, LATER_RATE = "1e-3", "5e-4"

RATE = r"(?P<rate>\d[\d.e-]*)"
OPINION = re.compile(f"opinion-{RATE}")
PART = re.compile(r"(?P<texts>embed|squad)-(?P<part>[1-9]\d*)")
TUNING = re.compile(f"tuning-(?P<arm>transfer|none)-{RATE}")
SENTIMENT = re.compile(r"sentiment-(?P<arm>transfer|none)-(?P<seed>\d+)")


def recipe(name: str, values: Mapping[str, str]) -> str:
    """Returns the recipe of a training.

    Args:
        name: Its name.
        values: `folder` of the trainings, `corpus`, and all of `DEFAULTS`.

    Raises ValueError for an unknown name, OSError where the evaluation that decides a learning rate is missing.
    """
    corpus = values["corpus"]
    if found := OPINION.fullmatch(name):
        return fill(TEMPLATES / "opinion.toml", {**values, **found.groupdict()})
    if found := PART.fullmatch(name):
        return _part(name, found["texts"], int(found["part"]), values)
    if name == "none":
        steps = int(values["steps"]) * int(values["parts"])
        own = {
            "student": SHAPE.format(table="model"),
            "mix": _mix(MIX, corpus),
            "steps": str(steps),
            "rate": FIRST_RATE,
        }
        return fill(TEMPLATES / "none.toml", {**values, **own})
    if found := TUNING.fullmatch(name):
        own = {"rate": found["rate"], "train": "reviews_train.tsv", "seed": values["seed"]}
        return _sentiment(name, found["arm"], {**values, **own})
    if found := SENTIMENT.fullmatch(name):
        rate = best_rate(Path(values["folder"], "tuning.json"), f"tuning-{found['arm']}")
        own = {"rate": rate, "train": "reviews_train_validation.tsv", "seed": found["seed"]}
        return _sentiment(name, found["arm"], {**values, **own})
    raise ValueError(f"{name} is given; expected a name such as {_names()}")


def _part(name: str, texts: str, part: int, values: Mapping[str, str]) -> str:
    student, tokenizer = SHAPE.format(table="student"), f"[tokenizer]\nvocab_size = {values['vocab_size']}"
    if part > 1:
        student, tokenizer = f'checkpoint = "{values["folder"]}/{texts}-{part - 1}/model"', ""
    own = {
        "name": name,
        "part": str(part),
        "student": student,
        "tokenizer": tokenizer,
        "mix": _mix(SQUAD_MIX if texts == "squad" else MIX, values["corpus"]),
        "rate": FIRST_RATE if part == 1 else LATER_RATE,
    }
    return fill(TEMPLATES / "embed.toml", {**values, **own})


def _sentiment(name: str, arm: str, values: Mapping[str, str]) -> str:
    folder, corpus = values["folder"], values["corpus"]
    own = {"name": name, "arm": arm, "steps": values["sentiment_steps"], "teacher": "", "unlabelled": ""}
    own["checkpoint"] = f"{folder}/none/model"
    if arm == "transfer":
        opinion = best_rate(Path(folder, "opinion.json"), "opinion")
        own["checkpoint"] = f"{folder}/embed-{values['parts']}/model"
        own["teacher"] = (
            f'[teacher]\ncheckpoint = "{folder}/opinion-{opinion}/model"\nalpha = 0.1\ntemperature = 2.0\n'
            f'opinions = "{folder}/opinions"'
        )
        files = ", ".join(f'"{corpus}/{file}.txt"' for file in UNLABELLED)
        own["unlabelled"] = f"variants = 10\nunlabelled = [{files}]"
    return fill(TEMPLATES / "sentiment.toml", {**values, **own})


def _mix(groups: tuple[tuple[tuple[str, ...], int, str], ...], corpus: str) -> str:
    tables = []
    for files, weight, passages in groups:
        names = ", ".join(f'"{corpus}/{file}.txt"' for file in files)
        tables.append(f"\n[[data.mix]]\nfiles = [{names}]\npassages = {passages}\nweight = {weight}")
    return "\n".join(tables)


def _names() -> str:
    return "opinion-1e-4, embed-1, squad-1, none, tuning-none-1e-3, sentiment-transfer-1"


if __name__ == "__main__":
    main("examples.reference.recipe", recipe, DEFAULTS)
