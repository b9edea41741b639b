"""Bundles of small MobileBERTs: exported by us for most tests; for the runtime's, plainly, and written by hand."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from exported_checkpoints import Exported, Exports, Traces
from filelock import FileLock
from small_checkpoints import save_small
from small_models import randomize
from text_encoders import WORDS
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mbert_onnx.model.checkpoint_files.sentence_files import write_sentence_files
from mbert_onnx.text.sentence_embedding import EmbeddingSettings
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY, Task, task_named

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may wait for a hub
# One thread for torch, here and in child processes: where several test processes share the cores, more threads wait for
# each other at every small product, and a verification takes 6 s instead of 0.5 s.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
logging.getLogger("torch.__trace").disabled = True  # else a failed test shows thousands of lines of torch.export's

# The texts on which the tokenizer is trained. The tests' texts consist of their words, and of others that it splits.
SENTENCES = [
    "ada wrote the first program in london for the engine of charles babbage .",
    "the quick brown fox jumps over the lazy dog near the river in paris .",
    "grace built a compiler in new york and found a moth in the machine .",
    "who wrote it ? where was it built ? when did she find the moth ?",
    "alan walked , talked and worked in manchester on the theory of machines !",
]
VOCABULARY = 240
MAX_POSITIONS = 48
FIXED_LENGTH = 32


@pytest.fixture(scope="session")
def runtime_tokenizer() -> transformers.BertTokenizerFast:
    """A small WordPiece tokenizer, lower-casing, as transformers wraps it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=specials))
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]"))
    )
    return transformers.BertTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions with contexts, of words that the small vocabulary has."""
    generator = np.random.default_rng(0)
    words = WORDS.split()
    # The same in all processes: `exported` shares bundles by this name.
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines = [
        {name: " ".join(generator.choice(words, generator.integers(3, size))) for name, size in parts}
        for parts in [(("question", 9), ("context", 30))] * 24
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


@dataclass(frozen=True)
class Example:
    """A bundle's folder, and the torch model that is in it."""

    folder: Path
    model: Any


@pytest.fixture(scope="session")
def runtime_bundle(
    runtime_tokenizer: transformers.BertTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Example]:
    """`runtime_bundle(task, batch=None, dtype=torch.int64, inputs=(...), **config)`: exported once for each."""
    built: dict[str, Example] = {}

    def make(
        name: str,
        *,
        batch: int | None = None,
        dtype: torch.dtype = torch.int64,
        inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
        **config: Any,
    ) -> Example:
        key = repr((name, batch, dtype, inputs, config))
        if key not in built:
            folder = tmp_path_factory.mktemp(name)
            built[key] = Example(
                folder, export(folder, runtime_tokenizer, task_named(name), batch, dtype, inputs, config)
            )
        return built[key]

    return make


def export(
    folder: Path,
    tokenizer: Any,
    task: Task,
    batch: int | None,
    dtype: torch.dtype,
    inputs: tuple[str, ...],
    changes: dict[str, Any],
) -> Any:
    """A bundle with dynamic axes, or with inputs of `[batch, FIXED_LENGTH]` where `batch` is given."""
    config = transformers.MobileBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        intra_bottleneck_size=32,
        embedding_size=32,
        max_position_embeddings=MAX_POSITIONS,
        architectures=[task.architecture],
        **changes,
    )
    model = randomize(getattr(transformers, task.architecture)(config)).eval()
    with torch.no_grad():
        # As training leaves it: the last token's trigram looks at what follows, nothing or padding, and both are 0.
        model.base_model.embeddings.word_embeddings.weight[config.pad_token_id] = 0.0
    shape = [batch or 2, 3, FIXED_LENGTH] if task.has_choices else [batch or 2, FIXED_LENGTH]
    names = list(task.output_names)
    axes = {name: dict(enumerate(task.input_axes)) for name in inputs}
    axes |= {
        name: {n: a for n, a in enumerate(task.axes(name)) if a not in ("labels", "vocab", "hidden")} for name in names
    }

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            answer = self.model(**dict(zip(inputs, values, strict=True)))
            return tuple(answer.values())

    (folder / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter warns of itself; it is enough for models this plain
        torch.onnx.export(
            Traced().eval(),  # what it is in after the export, too
            tuple(torch.ones(shape, dtype=dtype) for _ in inputs),
            str(folder / "onnx" / "model.onnx"),
            input_names=list(inputs),
            output_names=names,
            dynamic_axes=None if batch else axes,
            opset_version=18,
            dynamo=False,
        )
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "mbert_onnx.json").write_text(json.dumps({"task": task.name}))
    return model


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exported"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def traces(shared_folder: Path) -> Traces:
    """`trace`, once for each model, for all processes."""
    folder = shared_folder / "traces"
    folder.mkdir(exist_ok=True)
    return Traces(folder)


@pytest.fixture
def traced_once(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    """`export` traces equal models once."""
    from mbert_onnx.conversion import exporter

    monkeypatch.setattr(exporter, "trace", traces)


@pytest.fixture(scope="session")
def exported(runtime_tokenizer: transformers.BertTokenizerFast, traces: Traces, shared_folder: Path) -> Exports:
    """`exported(task="question-answering", switch="default", **options of export)`: once for each, for all processes.

    An export takes seconds, so tests share them; no test may change one.
    """
    from mbert_onnx import export
    from mbert_onnx.conversion import exporter

    root = shared_folder

    def make(task: str = "question-answering", switch: str = "default", **options: Any) -> Exported:
        values = {key: value.name if isinstance(value, Path) else value for key, value in options.items()}
        name = "-".join([task, switch, *(f"{key}={value}" for key, value in sorted(values.items()))])
        found = Exported(root / f"{task}-{switch}", root / f"{name}-onnx")
        with FileLock(root / "lock"):
            if not found.checkpoint.is_dir():
                save_small(found.checkpoint, task_named(task).architecture, switch, vocab_size=len(runtime_tokenizer))
                runtime_tokenizer.save_pretrained(found.checkpoint)
                if task == SENTENCE_SIMILARITY.name:
                    size = int(json.loads((found.checkpoint / "config.json").read_text())["hidden_size"])
                    settings = EmbeddingSettings(FIXED_LENGTH, normalize=True)
                    write_sentence_files(found.checkpoint, settings, size)
            if not found.bundle.is_dir():
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(exporter, "trace", traces)
                    export(found.checkpoint, found.bundle, **options)
        return found

    return make
