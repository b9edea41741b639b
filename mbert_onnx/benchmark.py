"""`bench`: models against each other on one machine, whatever form they come in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from mbert_onnx._beside import require_beside
from mbert_onnx.bundle_reader import MODELS, read_bundle
from mbert_onnx.errors import BundleError, UsageError

require_beside("graphs")
require_beside("perf")

from graphs.embeddings import embedding_rows  # noqa: E402
from perf.harness import Subject  # noqa: E402
from perf.harness import bench as bench_subjects  # noqa: E402
from perf.providers import resolve  # noqa: E402
from perf.report import Report  # noqa: E402

# `transformers:CHECKPOINT` stands for transformers' own export of that checkpoint.
PEER = "transformers"

# What can be made of a model before it is timed: `onnxslim:MODEL` and so on.
OPTIMIZED, SLIM, ORT_TRANSFORMERS = "optimized", "onnxslim", "ort-transformers"

Progress = Callable[[str], None]


def bench(
    models: str | Path | Sequence[str | Path],
    *,
    provider: str = "cpu",
    seq_lens: Sequence[int] | None = None,
    batch: int = 1,
    threads: Sequence[int] = (1, 2),
    task: str | None = None,
    precision: float = 0.02,
    budget: float = 10.0,
    seed: int = 0,
    json: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Times models in turns: median, percentiles, tokens per second, load time, memory, ratio to the first.

    Args:
        models: One or more of: a bundle; an `.onnx` file of anybody's; a checkpoint, which is exported first;
            `transformers:CHECKPOINT`, transformers' own export of it; `optimized:MODEL`, what our `optimize` makes of
            any of these; `onnxslim:MODEL` and `ort-transformers:MODEL`, what onnxslim and
            `onnxruntime.transformers.optimizer` make of it. The others are compared with the first.
        provider: An execution provider: `cpu`, or another that the installed onnxruntime has.
        seq_lens: Lengths in tokens; default: 8, 32, 128, 384, or what a model with a fixed length takes.
        batch: Texts per run.
        threads: Numbers of threads to time with.
        task: The task that a checkpoint is exported for; default: its own.
        precision: Measuring ends when the 95 % interval of every median is within this share of it,
        budget: or after this many seconds for each length and number of threads.
        seed: Of the inputs, and of random weights.
        json: Where to write the report, with all raw times.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError, perf.errors.PerfUsageError: an option that cannot be meant.
        BundleError, CheckpointError, perf.errors.PerfError: a model or provider that cannot be used.
    """
    names = [str(m) for m in ([models] if isinstance(models, str | Path) else models)]
    if not names:
        raise UsageError("no model to bench; give a bundle, an .onnx file, or a checkpoint such as random")
    resolve(provider)  # a wrong name is told now, and not after exporting
    if json is not None and (Path(json).is_dir() or not Path(json).parent.is_dir()):
        raise UsageError(f"--json is {json}; expected a file in a folder that exists")
    with ExitStack() as stack:
        prepared: dict[str, Subject] = {}
        for name in names:
            _prepare(name, prepared, stack, task, seed, progress)
        report = bench_subjects(
            _distinct([prepared[name] for name in names]),
            provider=provider,
            seq_lens=seq_lens,
            batch=batch,
            threads=threads,
            precision=precision,
            budget_s=budget,
            seed=seed,
            progress=progress,
        )
    if json is not None:
        report.write_json(Path(json))
    return report


def _prepare(
    name: str, prepared: dict[str, Subject], stack: ExitStack, task: str | None, seed: int, progress: Progress | None
) -> Subject:
    """The file that a name stands for; made once, though several names ask for it."""
    if name not in prepared:
        tool, colon, inner = name.partition(":")
        if colon and tool in (OPTIMIZED, SLIM, ORT_TRANSFORMERS) and not Path(name).exists():
            source = _prepare(inner, prepared, stack, task, seed, progress)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mbert-onnx-")))
            if progress is not None:
                progress(f"{name}: optimizing")
            prepared[name] = Subject(name, _apply(tool, source.path, folder / "model.onnx"), source.vocab_size)
        else:
            prepared[name] = _subject(name, stack, task, seed, progress)
    return prepared[name]


def _apply(tool: str, source: Path, output: Path) -> Path:
    if tool == OPTIMIZED:
        from mbert_onnx.optimizer import optimize

        optimize(source, output)
    elif tool == SLIM:
        from perf.peers.onnxslim_file import slim

        slim(source, output)
    else:
        from perf.peers.ort_transformers import optimize_as_bert

        optimize_as_bert(source, output)
    return output


def _subject(name: str, stack: ExitStack, task: str | None, seed: int, progress: Progress | None) -> Subject:
    path = Path(name)
    if path.is_file():
        return Subject(name, path, embedding_rows(path))
    if any((path / file).is_file() for file in MODELS):
        bundle = read_bundle(path)
        return Subject(name, bundle.model_path, bundle.config.get("vocab_size"))
    if path.suffix == ".onnx":
        raise BundleError(f"{name} does not exist; give a bundle, an .onnx file, or a checkpoint such as random")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mbert-onnx-")))
    peer, colon, checkpoint = name.partition(":")
    if colon and peer == PEER:
        return _export_peer(name, checkpoint, folder, task, seed, progress)
    from mbert_onnx.exporter import export

    told = None if progress is None else lambda line: progress(f"{name}: {line}")
    exported = export(name, folder / "bundle", task=task, seed=seed, progress=told)
    return Subject(name, exported.model, read_bundle(exported.path).config.get("vocab_size"))


def _export_peer(
    name: str, checkpoint: str, folder: Path, task: str | None, seed: int, progress: Progress | None
) -> Subject:
    from mbert_onnx.extras import require_extra

    require_extra("export", f"{PEER}' own export")
    from mbert_onnx.checkpoint import load_checkpoint, save_checkpoint
    from perf.peers.transformers_export import export_transformers

    if progress is not None:
        progress(f"{name}: exporting as torch's exporter does, which takes a while")
    loaded = load_checkpoint(checkpoint, task=task, seed=seed)
    save_checkpoint(loaded, folder)
    outputs = tuple(o.name for o in loaded.task.outputs if not (o.optional and loaded.pooler is None))
    file = folder / "model.onnx"
    export_transformers(folder, loaded.task.architecture, outputs, file)
    return Subject(name, file, loaded.config.vocab_size)


def _distinct(subjects: list[Subject]) -> list[Subject]:
    """A model given twice gets a number, so that the report can tell its rows apart."""
    seen: dict[str, int] = {}
    named = []
    for subject in subjects:
        seen[subject.name] = seen.get(subject.name, 0) + 1
        suffix = f" #{seen[subject.name]}" if seen[subject.name] > 1 else ""
        named.append(Subject(subject.name + suffix, subject.path, subject.vocab_size))
    return named
