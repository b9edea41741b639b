"""What others make of a checkpoint: the models that ours are benched against."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbert_onnx._requirements import require_extra
from mbert_onnx.model.paper_baselines import architecture_of, save_architecture
from mbert_onnx.text.tasks import QUESTION_ANSWERING, Task, task_named
from perf.harness import Subject
from perf.machine.peaks import FLOAT32, INT8
from perf.sessions.runtimes import EXECUTORCH, LITERT, NCNN, TORCH, TORCH_COMPILED

# `transformers:CHECKPOINT` is transformers' own export of that checkpoint, `litert:CHECKPOINT` LiteRT's, and so on.
TRANSFORMERS = "transformers"
LITERT_FLOAT, LITERT_INT8 = "litert", "litert-int8"
TORCH_EAGER, TORCH_COMPILE = "torch", "torch-compile"
PEERS = (TRANSFORMERS, LITERT_FLOAT, LITERT_INT8, TORCH_EAGER, TORCH_COMPILE, EXECUTORCH, NCNN)


@dataclass(frozen=True)
class Saved:
    """A checkpoint in transformers' format, whatever it was loaded from, without its weights in memory."""

    folder: Path
    source: Path | None
    task: Task
    architecture: str
    outputs: tuple[str, ...]
    vocab_size: int
    max_positions: int


def save(peer: str, checkpoint: str, folder: Path, *, task: str | None, seed: int) -> Saved:
    """Loads a checkpoint and writes it into a folder, for one of `PEERS`.

    Raises what `load_checkpoint` and `save_architecture` do.
    """
    require_extra("export", "transformers' own export" if peer == TRANSFORMERS else peer)
    from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint

    other = architecture_of(checkpoint)
    if other is not None:
        chosen = QUESTION_ANSWERING if task is None else task_named(task)
        model = save_architecture(other, folder, task=chosen, seed=seed)
        config, architecture = model.config, type(model).__name__
        outputs = chosen.output_names
        return Saved(folder, None, chosen, architecture, outputs, config.vocab_size, config.max_position_embeddings)
    loaded = load_checkpoint(checkpoint, task=task, seed=seed)
    save_checkpoint(loaded, folder)
    outputs = tuple(o.name for o in loaded.task.outputs if not (o.optional and loaded.pooler is None))
    return Saved(
        folder,
        loaded.folder,
        loaded.task,
        loaded.task.architecture,
        outputs,
        loaded.config.vocab_size,
        loaded.config.max_position_embeddings,
    )


def made_by_peer(
    name: str,
    peer: str,
    saved: Saved,
    folder: Path,
    *,
    seq_lens: Sequence[int],
    batch: int,
    reference: Callable[[], Path],
    tell: Callable[[str], None],
) -> Subject:
    """What one of `PEERS` makes of a checkpoint.

    Args:
        name: What the model is called.
        folder: Where its files go.
        seq_lens, batch: Shapes, for those that fix them.
        reference: Gives the `.onnx` of the float model that a lower precision is compared with.
        tell: Is told what begins.

    Raises PerfError where the peer fails, or its packages cannot be installed.
    """
    if peer == TRANSFORMERS:
        from perf.peers.transformers_export import export_transformers

        tell(f"{name}: exporting as torch's exporter does, which takes a while")
        file = folder / "model.onnx"
        export_transformers(saved.folder, saved.architecture, saved.outputs, file)
        return Subject(name, file, saved.vocab_size, precision=FLOAT32)
    if peer in (TORCH_EAGER, TORCH_COMPILE):
        runtime = TORCH if peer == TORCH_EAGER else TORCH_COMPILED
        weights = saved.folder / "model.safetensors"
        return Subject(name, weights, saved.vocab_size, runtime, python=Path(sys.executable), precision=FLOAT32)

    def told(line: str) -> None:
        tell(f"{name}: {line}")

    told("converting")
    int8 = peer == LITERT_INT8
    from perf.peers.checkpoint_converters import CHECKPOINT_CONVERTERS

    converter = CHECKPOINT_CONVERTERS[peer]
    python = converter.python(told)
    by_length = converter.convert(
        saved.folder, saved.architecture, saved.outputs, folder, seq_lens=seq_lens, batch=batch, progress=told
    )
    runtime = LITERT if peer in (LITERT_FLOAT, LITERT_INT8) else peer
    return Subject(
        name,
        by_length[max(by_length)],
        saved.vocab_size,
        runtime,
        by_length,
        reference() if int8 else None,
        ("ai-edge-quantizer: dynamic_wi8_afp32",) if int8 else (),
        python=python,
        precision=INT8 if int8 else FLOAT32,
    )
