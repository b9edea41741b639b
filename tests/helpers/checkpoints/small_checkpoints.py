"""Checkpoints of small models in transformers' format, and changes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import transformers
from safetensors.torch import load_file, save_file
from small_models import randomize, small_config

WEIGHTS = "model.safetensors"

# Tolerance for float64 outputs of the same weights in two implementations.
FLOAT64 = 1e-9

# Tolerance for the centred error of a file's float32 outputs against float64.
FLOAT32 = 2e-5


def save_small(
    folder: Path, head: str = "MobileBertForQuestionAnswering", switch: str = "default", **changes: Any
) -> torch.nn.Module:
    """Writes a random model of transformers' class `head` with `save_pretrained` and returns it."""
    model = randomize(getattr(transformers, head)(small_config(switch, **changes))).eval()
    model.save_pretrained(folder)
    assert isinstance(model, torch.nn.Module)
    return model


def names_in(folder: Path) -> list[str]:
    """Returns the names of all entries of a folder, hidden ones included."""
    return sorted(path.name for path in folder.iterdir())


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def put_tensors(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Replaces the weights of a checkpoint."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS, {"format": "pt"})


def put_shards(folder: Path, tensors: Mapping[str, torch.Tensor], kind: str) -> None:
    """Replaces the weights of a checkpoint by three shards, `safetensors` or `bin`, with an index."""
    stem = {"safetensors": "model", "bin": "pytorch_model"}[kind]
    where: dict[str, str] = {}
    for number in range(3):
        name = f"{stem}-{number + 1:05d}-of-00003.{kind}"
        part = {key: tensors[key].contiguous() for key in sorted(tensors)[number::3]}
        where |= dict.fromkeys(part, name)
        if kind == "bin":
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name, {"format": "pt"})
    (folder / WEIGHTS).unlink()
    (folder / f"{stem}.{kind}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def put_bin(folder: Path, content: object) -> None:
    """Replaces the weights of a checkpoint by a `pytorch_model.bin`."""
    (folder / WEIGHTS).unlink()
    torch.save(content, folder / "pytorch_model.bin")


def put_config(folder: Path, **changes: Any) -> None:
    """Changes keys of a checkpoint's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def some_ids(config: transformers.MobileBertConfig, *, choices: bool) -> dict[str, torch.Tensor]:
    """Returns inputs of batch 3, 11 tokens, ragged padding and two segments, optionally with an axis of two choices."""
    generator = torch.Generator().manual_seed(5)
    shape = (3, 2, 11) if choices else (3, 11)
    mask = torch.ones(shape, dtype=torch.long)
    mask[1, ..., 7:] = 0
    return {
        "input_ids": torch.randint(0, config.vocab_size, shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, shape, generator=generator),
    }


def assert_same_model(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    """Checks that two models compute the same outputs in float64; converts both to float64."""
    assert isinstance(theirs.config, transformers.MobileBertConfig)
    feed = some_ids(theirs.config, choices="MultipleChoice" in type(theirs).__name__)
    with torch.no_grad():
        expected, found = theirs.double()(**feed), ours.double()(**feed)
    assert list(expected.keys()) == list(found.keys())
    for name in expected:
        error = (expected[name] - found[name]).norm() / expected[name].norm()
        assert error <= FLOAT64, f"{name}: {error:.1e}"


def assert_file_answers_as(theirs: Any, path: Path) -> None:
    """On three texts with padding; transformers' model in float64 judges, under the names that graphs give outputs."""
    theirs = theirs.double()
    feed = some_ids(theirs.config, choices=type(theirs).__name__ == "MobileBertForMultipleChoice")
    with torch.no_grad():
        expected = _flat(theirs(**feed))
    ours = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in ours.get_outputs()]
    assert sorted(names) == sorted(expected)
    found = dict(zip(names, ours.run(names, {k: v.numpy() for k, v in feed.items()}), strict=True))
    for name, judge in expected.items():
        real = torch.ones(judge.shape, dtype=torch.bool)
        if name in ("start_logits", "end_logits", "last_hidden_state") or name.startswith("hidden_states"):
            real = feed["attention_mask"].bool()
        a, b = torch.from_numpy(found[name])[real].double(), judge[real]
        assert (a - b).norm() <= FLOAT32 * (b - b.mean(0)).norm(), name


def _flat(outputs: Any) -> dict[str, torch.Tensor]:
    """Renames transformers' outputs to the output names of graphs."""
    named: dict[str, torch.Tensor] = {}
    for name, value in outputs.items():
        parts = {name: value} if torch.is_tensor(value) else {f"{name}.{n}": part for n, part in enumerate(value)}
        named |= parts
    return named
