"""Broken checkpoints, each with the text that its one-line error must contain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from small_checkpoints import WEIGHTS, put_bin, put_config, put_tensors, tensors_of


@dataclass(frozen=True)
class Fault:
    """A way to break a checkpoint.

    Args:
        spoil: Does it to the folder of a good question-answering checkpoint.
        says: A regular expression that the error message matches.
    """

    spoil: Callable[[Path], object]
    says: str


def config(says: str, **changes: Any) -> Fault:
    return Fault(lambda folder: put_config(folder, **changes), says)


def config_text(text: str, says: str) -> Fault:
    return Fault(lambda folder: (folder / "config.json").write_text(text), says)


def without(*names: str, says: str) -> Fault:
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return Fault(spoil, says)


def cut(name: str, size: int, says: str) -> Fault:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:size])

    return Fault(spoil, says)


def bin_of(content: Callable[[Path], object], says: str) -> Fault:
    return Fault(lambda folder: put_bin(folder, content(folder)), says)


def bin_text(content: bytes, says: str) -> Fault:
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / "pytorch_model.bin").write_bytes(content)

    return Fault(spoil, says)


def index(text: str, says: str, kind: str = "model.safetensors") -> Fault:
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / f"{kind}.index.json").write_text(text)

    return Fault(spoil, says)


def tensors(says: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Fault:
    def spoil(folder: Path) -> None:
        loaded = tensors_of(folder)
        change(loaded)
        put_tensors(folder, loaded)

    return Fault(spoil, says)


def truncated_bin(folder: Path) -> None:
    put_bin(folder, tensors_of(folder))
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class RunsCode:
    """An object that creates the file `pwned` in the folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pwned"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 98765\n"
LN = "mobilebert.embeddings.LayerNorm.bias"
SHARDS = json.dumps({"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors"}})

# Some messages differ with transformers 5, which checks the types of fields itself.
FAULTS: dict[str, Fault] = {
    # config.json
    "no config": without("config.json", says="has no config.json; expected a folder that transformers'"),
    "another architecture": config("model_type is 'bert', expected 'mobilebert'", model_type="bert"),
    "no model type": config("model_type is None, expected 'mobilebert'", model_type=None),
    "broken JSON": config_text('{"model_type": ', "is not valid JSON"),
    "not UTF-8": Fault(lambda f: (f / "config.json").write_bytes(b'{"a": "\xff"}'), "is not valid JSON"),
    "endless JSON": config_text("[" * 100_000, "config.json cannot be read .its values are nested too deeply."),
    "unknown type": config(
        "torch_dtype = 'float99', expected a type of torch such as 'float32'", torch_dtype="float99"
    ),
    "unknown type, in new versions": config("dtype = 'nn', expected a type of torch", torch_dtype=None, dtype="nn"),
    "type is a list": config(r"dtype = \['float32'\], expected a type of torch", dtype=["float32"]),
    "an endless number": config_text(
        f'{{"model_type": "mobilebert", "num_hidden_layers": {"1" * 5000}}}',
        r"cannot be read \(a number has 5,000 digits, expected at most 1,000: 1111111111…\); save the checkpoint again",
    ),
    "a billion layers": config(
        "num_hidden_layers = 1000000000, but the weights are those of 2 layers; correct it", num_hidden_layers=10**9
    ),
    "a billion networks": config(
        "num_feedforward_networks = 1000000000, but the weights of layer 0 are those of 3 feed-forward networks",
        num_feedforward_networks=10**9,
    ),
    "layers too few": config("num_hidden_layers = 1, but the weights are those of 2 layers", num_hidden_layers=1),
    "another vocabulary": config(
        r"vocab_size = 100, but mobilebert.embeddings.word_embeddings.weight is \[101, 24\]; correct it", vocab_size=100
    ),
    "a billion labels": config(
        "num_labels = 1000000000, but no tensor is larger than 101", num_labels=10**9, id2label=None, label2id=None
    ),
    "config is a list": config_text("[1, 2]", "holds a list, expected a JSON object"),
    "no architectures": config("none of them a MobileBERT's; pass --task", architectures=None),
    "architectures of others": config("pass --task", architectures=["BertModel"]),
    "architectures is a number": config("pass --task", architectures=5),
    "architectures of objects": config("pass --task", architectures=[{}]),
    "heads do not divide": config("5 heads do not divide 32 channels", num_attention_heads=5),
    "unknown activation": config("hidden_act is 'swishy', which", hidden_act="swishy"),
    "activation is a list": config(r"hidden_act is \['relu'\], which|field 'hidden_act'", hidden_act=["relu"]),
    "unknown normalization": config("normalization_type is 'rms', expected no_norm", normalization_type="rms"),
    "unshared widths": config("key_query_shared_bottleneck is false", key_query_shared_bottleneck=False),
    "zero layers": config("num_hidden_layers = 0, expected an integer of at least 1", num_hidden_layers=0),
    "negative width": config("hidden_size = -64, expected", hidden_size=-64),
    "width is a string": config("hidden_size = '64', expected|field 'hidden_size'", hidden_size="64"),
    "width is a fraction": config("embedding_size = 24.0, expected|field 'embedding_size'", embedding_size=24.0),
    "heads are true": config(
        "num_attention_heads = True, expected|field 'num_attention_heads'", num_attention_heads=True
    ),
    "no feed-forward network": config("num_feedforward_networks = 0, expected", num_feedforward_networks=0),
    "wide embeddings": config("embedding_size 65 is larger than hidden_size 64", embedding_size=65),
    "a decoder": config("is_decoder is true", is_decoder=True),
    "padding beyond the vocabulary": config(
        "pad_token_id is 101, but there are 101 word embeddings, from 0; make", pad_token_id=101
    ),
    "padding is a string": config("cannot be built|field 'pad_token_id'", pad_token_id="0"),
    "impossible dropout": config("cannot be built: dropout", hidden_dropout_prob=7),
    "epsilon is NaN": config("layer_norm_eps is nan, expected a number from 0 to 1", layer_norm_eps=float("nan")),
    "epsilon is a string": config("layer_norm_eps is '1e-12', expected|field 'layer_norm_eps'", layer_norm_eps="1e-12"),
    "three labels": config("question answering has 2 labels .* has 3", id2label={"0": "a", "1": "b", "2": "c"}),
    "labels are a number": config("config.json is not a MobileBERT's", id2label=3),
    # Weight files
    "no weights": without(WEIGHTS, says="has no weights; expected model.safetensors or pytorch_model.bin"),
    "empty safetensors": cut(WEIGHTS, 0, "model.safetensors is truncated or corrupt"),
    "half a header": cut(WEIGHTS, 500, "model.safetensors is truncated or corrupt"),
    "truncated safetensors": cut(WEIGHTS, 100_000, "model.safetensors is truncated or corrupt"),
    "corrupt safetensors": Fault(lambda f: (f / WEIGHTS).write_bytes(b"\x01" * 999), "is truncated or corrupt"),
    "git-lfs safetensors": Fault(lambda f: (f / WEIGHTS).write_bytes(LFS), "git lfs pull"),
    "truncated bin": Fault(truncated_bin, "pytorch_model.bin is truncated or corrupt"),
    "empty bin": bin_text(b"", "pytorch_model.bin is truncated or corrupt"),
    "git-lfs bin": bin_text(LFS, "git lfs pull"),
    "a web page for a bin": bin_text(b"<!doctype html>", "is truncated or corrupt .no state dict that torch saved."),
    "bin runs code": bin_of(lambda folder: {"a": RunsCode(folder)}, "would run code from the file"),
    "bin of a module": bin_of(lambda _: torch.nn.Linear(2, 2), "would run code from the file"),
    "bin of a list": bin_of(lambda _: [torch.ones(1)], "holds no state dict .*, but a list"),
    "bin of a training run": bin_of(lambda _: {"model": {}, "step": 3}, "but a dict with model, step"),
    "bin of two models": bin_of(
        lambda _: {"model": {"a": torch.ones(1)}, "ema": {"a": torch.ones(1)}},
        "several state dicts, model, ema; save one",
    ),
    "bin without names": bin_of(lambda _: {0: torch.ones(1)}, "but a dict with 0"),
    "shards missing": index(SHARDS, r"are not there: model-1.safetensors, model-2.safetensors; copy them"),
    "index is no JSON": index("{", "is not an index of shards"),
    "index is a list": index("[]", "is not an index of shards"),
    "index of numbers": index('{"weight_map": {"a": 1}}', "is not an index of shards"),
    "shards of another folder": index(
        '{"weight_map": {"a": "../other/model.safetensors"}}',
        "names shards outside its folder: ../other/model.safetens",
    ),
    "index without map": index("{}", "pytorch_model.bin.index.json is not an index", "pytorch_model.bin"),
    # Tensors
    "no tensors": tensors("model.safetensors holds no tensors; save the model again", lambda t: t.clear()),
    "tensor missing": tensors(rf"missing for .* \(1\): {LN}; save the whole model again", lambda t: t.pop(LN)),
    "head missing": tensors(r"missing .* \(1\): qa_outputs.bias; pass the --task", lambda t: t.pop("qa_outputs.bias")),
    "tensor unexpected": tensors(r"unexpected in .* \(1\): adapter", lambda t: t.update(adapter=torch.ones(1))),
    "wrong shape": tensors(rf"{LN} is \[5\], expected \[64\]", lambda t: t.update({LN: torch.ones(5)})),
    "NaN": tensors(f"{LN} has 1 of 64 values NaN or infinite", lambda t: t[LN].data[3].fill_(float("nan"))),
    "infinity": tensors(f"{LN} has 1 of 64 values NaN or infinite", lambda t: t[LN].data[3].fill_(float("inf"))),
    "expanded": bin_of(
        lambda folder: tensors_of(folder) | {LN: torch.ones(1).expand(64)},
        rf"{LN} of shape \[64\] is not stored in full",
    ),
    "sparse": bin_of(
        lambda folder: tensors_of(folder) | {LN: torch.ones(64).to_sparse()},
        rf"{LN} of shape \[64\] is not stored in f",
    ),
    "int8": tensors(f"{LN} is torch.int8, expected floating", lambda t: t.update({LN: t[LN].to(torch.int8)})),
}
