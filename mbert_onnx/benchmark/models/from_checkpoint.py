"""Models that other tools make from a checkpoint: the peers of our exports."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import Request
from mbert_onnx.bundles.model_file import TextReader
from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.errors.requirements import require_extra
from mbert_onnx.model.paper_baselines import architecture_of, save_architecture
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import POOLER_OUTPUT, QUESTION_ANSWERING, SENTENCE_SIMILARITY, Task, task_named
from perf.machine.peaks import FLOAT32, INT8
from perf.sessions.subject import Sizes, Subject


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint written in transformers' format, whatever it was loaded from; its weights are not in memory.

    Args:
        folder: The folder that was written.
        source: The checkpoint's own folder; None for random weights.
        task: The task of its head.
        architecture: The name of transformers' class.
        outputs: The names of its outputs, in order.
        vocab_size: The number of token ids.
        max_positions: The largest number of tokens.
        segments: The number of token types; None where the model has none.
        layers: The number of layers.
    """

    folder: Path
    source: Path | None
    task: Task
    architecture: str
    outputs: tuple[str, ...]
    vocab_size: int
    max_positions: int
    segments: int | None
    layers: int

    @property
    def sizes(self) -> Sizes:
        """The lengths that it takes."""
        return Sizes(longest=self.max_positions)

    def find_reader(self) -> TextReader | None:
        """Returns the tokenizer that reads texts for it, None where it has none."""
        from mbert_onnx.model.tokenizer_files import write_tokenizer

        if not write_tokenizer(self.source, self.folder, self.vocab_size, self.max_positions):
            return None
        return TextReader(self.task, self.folder / TOKENIZER, self.vocab_size, self.max_positions, self.segments)


def build_transformers(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Exports a checkpoint by torch.onnx. Raises PerfError where that fails."""
    saved = _saved(request, builder)
    from perf.peers.transformers_export import export_transformers

    builder.progress(request.name)("exporting by torch.onnx, which takes a while")
    file = builder.new_folder() / "model.onnx"
    export_transformers(saved.folder, saved.architecture, saved.outputs, file)
    subject = Subject(request.name, file, saved.vocab_size, precision=FLOAT32, sizes=saved.sizes, layers=saved.layers)
    return BuiltModel(subject, saved.find_reader)


def build_torch(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Opens transformers' module in this Python's PyTorch, eager or compiled: the row's runtime decides."""
    saved = _saved(request, builder)
    subject = Subject(
        request.name,
        saved.folder / "model.safetensors",
        saved.vocab_size,
        request.row.runtime,
        python=Path(sys.executable),
        precision=FLOAT32,
        sizes=saved.sizes,
        layers=saved.layers,
    )
    return BuiltModel(subject, saved.find_reader)


def build_converted(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Converts transformers' module to the format of the row's runtime: one file of fixed shapes for each length.

    A file that its converter quantizes is compared with our float model, and its notes say how it was quantized.

    Raises PerfError where the converter fails, or cannot be installed.
    """
    saved = _saved(request, builder)
    from perf.peers.checkpoint_converters import CHECKPOINT_CONVERTERS

    converter, progress = CHECKPOINT_CONVERTERS[request.prefix], builder.progress(request.name)
    progress("converting")
    python = converter.python(progress)
    by_length = converter.convert(
        saved.folder,
        saved.architecture,
        saved.outputs,
        builder.new_folder(),
        seq_lens=builder.lengths_for(saved.sizes),
        batch=builder.batch,
        progress=progress,
    )
    is_int8 = bool(converter.quantization)
    subject = Subject(
        request.name,
        by_length[max(by_length)],
        saved.vocab_size,
        request.row.runtime,
        by_length,
        builder.build(request.inner).subject.path if is_int8 else None,
        (converter.quantization,) if is_int8 else (),
        python=python,
        precision=INT8 if is_int8 else FLOAT32,
        layers=saved.layers,
    )
    return BuiltModel(subject, saved.find_reader)


def save(peer: str, checkpoint: str, folder: Path, *, task: str | None, seed: int) -> SavedCheckpoint:
    """Loads a checkpoint and writes it into a folder in transformers' format.

    Args:
        peer: What needs it, for the error where the extra `export` is not installed.
        checkpoint: A MobileBERT's, another encoder's of transformers, or one of the paper's baselines, such as
            `random:bert-base`.
        folder: The folder to write into.
        task, seed: As `bench` takes them.

    Raises what `load_checkpoint` and `save_architecture` raise.
    """
    require_extra("export", peer)
    from mbert_onnx.model.checkpoint import checkpoint_folder, load_checkpoint, save_checkpoint
    from mbert_onnx.model.other_berts import is_other_bert, positions_of, save_other_bert

    baseline = architecture_of(checkpoint)
    if baseline is not None:
        chosen = QUESTION_ANSWERING if task is None else task_named(task)
        model = save_architecture(baseline, folder, task=chosen, seed=seed)
        return SavedCheckpoint(
            folder,
            None,
            chosen,
            type(model).__name__,
            chosen.output_names,
            model.config.vocab_size,
            model.config.max_position_embeddings,
            getattr(model.config, "type_vocab_size", None),  # DistilBERT has no segments
            model.config.num_hidden_layers,
        )
    root = checkpoint_folder(checkpoint) if located(checkpoint).is_dir() else None
    if root is not None and is_other_bert(root):
        wanted = None if task is None else task_named(task)
        other, chosen = save_other_bert(located(checkpoint), folder, wanted)
        return SavedCheckpoint(
            folder,
            root,
            chosen,
            type(other).__name__,
            _outputs(chosen, pooled=False),
            int(other.config.vocab_size),  # type: ignore[union-attr, arg-type]
            positions_of(other),
            getattr(other.config, "type_vocab_size", None),
            int(other.config.num_hidden_layers),  # type: ignore[union-attr, arg-type]
        )
    loaded = load_checkpoint(checkpoint, task=task, seed=seed)
    save_checkpoint(loaded, folder)
    return SavedCheckpoint(
        folder,
        loaded.folder,
        loaded.task,
        loaded.task.architecture,
        _outputs(loaded.task, pooled=loaded.pooler is not None),
        loaded.config.vocab_size,
        loaded.config.max_position_embeddings,
        loaded.config.type_vocab_size,
        loaded.config.num_hidden_layers,
    )


def _outputs(task: Task, *, pooled: bool) -> tuple[str, ...]:
    """Returns the outputs of transformers' class, which for sentence similarity is the bare model."""
    if task is SENTENCE_SIMILARITY:
        return ("last_hidden_state",)
    return tuple(output.name for output in task.outputs if output.name != POOLER_OUTPUT or pooled)


def _saved(request: Request, builder: ModelBuilder) -> SavedCheckpoint:
    """Returns the saved checkpoint of a request, saving it if no other request has."""
    if request.inner not in builder.saved_checkpoints:
        peer = "transformers' own export" if request.prefix == "transformers" else request.prefix
        builder.saved_checkpoints[request.inner] = save(
            peer, request.inner, builder.new_folder(), task=builder.task, seed=builder.seed
        )
    return builder.saved_checkpoints[request.inner]
