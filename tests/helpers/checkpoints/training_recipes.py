"""Recipes of small trainings on an artificial language, in which each word determines the possible words beside it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

KINDS, PLACES = 8, "abcdef"

TEACHER = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "embedding_size": 16,
    "intra_bottleneck_size": 48,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
STUDENT = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "embedding_size": 16,
    "intra_bottleneck_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_feedforward_networks": 2,
    "max_position_embeddings": 32,
    "attention_probs_dropout_prob": 0.0,
}


def sentence(random_of: random.Random, kind: int) -> str:
    """Returns words of one kind in order, some of them left out."""
    chosen = [place for place in PLACES if random_of.random() < 0.8] or ["a"]
    return " ".join(f"{place}{'xyzuvwst'[kind]}" for place in chosen)


def write_corpus(path: Path, documents: int = 150) -> Path:
    """Writes documents of three sentences of one kind."""
    random_of = random.Random(0)
    parts = []
    for number in range(documents):
        parts.append("\n".join(sentence(random_of, number % KINDS) for _ in range(3)))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def write_labels(path: Path, rows: int = 200) -> Path:
    """Writes sentences labelled by whether their kind is in the first half."""
    random_of = random.Random(1)
    kinds = [random_of.randrange(KINDS) for _ in range(rows)]
    lines = [
        f"{n}\t{sentence(random_of, kind)}\t{'low' if kind < KINDS / 2 else 'high'}" for n, kind in enumerate(kinds)
    ]
    path.write_text("id\ttext\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def toml(tables: dict[str, Any]) -> str:
    """Formats a recipe; tables inside tables become inline tables."""
    top = [f"{key} = {_value(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            top += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(top) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def write_recipe(path: Path, **tables: Any) -> Path:
    path.write_text(toml(tables), encoding="utf-8")
    return path


def training(**changes: Any) -> dict[str, Any]:
    return {"batch_size": 32, "learning_rate": 5e-3, "log_every": 10, "save_every": 1000, "threads": 1, **changes}


def pretrain_recipe(folder: Path, corpus: Path, output: Path, dropout: float = 0.0, **changes: Any) -> Path:
    return write_recipe(
        folder / f"{output.name}.toml",
        output=output,
        model={"preset": "ib-bert-laptop", "config": {**TEACHER, "hidden_dropout_prob": dropout}},
        tokenizer={"vocab_size": 120},
        data={"files": [corpus], "max_length": 24, "masked": 0.2},
        training=training(**{"steps": 140, **changes}),
    )


def distill_recipe(
    folder: Path, corpus: Path, teacher: Path, output: Path, strategy: str, save_every: int = 1000, **changes: Any
) -> Path:
    return write_recipe(
        folder / f"{output.name}.toml",
        output=output,
        teacher={"checkpoint": teacher},
        student={"preset": "laptop", "config": STUDENT},
        data={"files": [corpus], "max_length": 24, "masked": 0.2},
        transfer={"strategy": strategy, "steps": 40, "distillation_steps": 80, **changes},
        training=training(save_every=save_every),
    )


def finetune_recipe(folder: Path, labels: Path, checkpoint: Path, output: Path, **tables: Any) -> Path:
    return write_recipe(
        folder / f"{output.name}.toml",
        **{
            "output": output,
            "model": {"checkpoint": checkpoint},
            "data": {"task": "classification", "train": labels, "id": "id", "held_out_every": 5, "max_length": 24},
            "training": training(steps=100, learning_rate=2e-3),
            **tables,
        },
    )
