"""`optimize`: an `.onnx` of anybody's MobileBERT becomes a fast one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphs.errors import GraphError
from graphs.lowering.bit_search import Plan
from graphs.model.loading import read_model
from graphs.model.opsets import check_opset, newest_opset
from graphs.pipeline import STAGES, TARGETS, Entry, Outcome, Stage
from graphs.pipeline import optimize as optimize_graph
from mbert_onnx.bundles.model_file import find_file
from mbert_onnx.bundles.onnx_writer import check_file_destination, writing_file
from mbert_onnx.conversion.damage import Damage
from mbert_onnx.conversion.precision import check_precision, refusing
from mbert_onnx.conversion.precision_gate import FileGate
from mbert_onnx.errors import BundleError, UsageError, VerificationError

# Of weights in one file: protobuf reads 2 GiB, and the graph takes a part of it.
MOST_BYTES = 2**31 - 2**24


@dataclass(frozen=True)
class OptimizeReport:
    """What `optimize` did.

    Args:
        path: The file that was written.
        changed: Whether it is another graph than the one that was read; if not, the file is a copy.
        target, opset: What it is for, and its opset.
        nodes_before, nodes_after: Of the main graph, functions not counted into.
        bytes_before, bytes_after: Of the files, weights included.
        ledger: What each pass did, in order.
        restarts: Streams that had to be rescaled or written out on the way; 0 where all of NoNorm is gone.
        given_error, error: Centred errors from float64, of the file that was read and of this one; None where
            nothing could be compared.
        bar: The largest error that passes; None for a lower precision, of which `damage` is what counts.
        seconds: What it took.
        precision: `fp32`: as it was; `fp16` or `int8`.
        damage: What a lower precision costs; None for fp32.
        plan: Of int8 for phones, how many bits activations have, and how that was found; else None.
        notes: What a user should know, a line each.
    """

    path: Path
    changed: bool
    target: str
    opset: int
    nodes_before: int
    nodes_after: int
    bytes_before: int
    bytes_after: int
    ledger: list[Entry]
    restarts: int
    given_error: float | None
    error: float | None
    bar: float | None
    seconds: float
    precision: str = "fp32"
    damage: Damage | None = None
    plan: Plan | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        told = asdict(replace(self, damage=None, plan=None))
        told["path"] = str(self.path)
        told["damage"] = None if self.damage is None else self.damage.as_dict()
        del told["plan"]  # it is called as in mbert_onnx.json
        told["activations"] = None if self.plan is None else self.plan.as_dict()
        return told


def optimize(
    model: str | Path,
    output: str | Path,
    *,
    target: str = "cpu",
    precision: str = "fp32",
    calibrate: str | Path | None = None,
    keep_float: Sequence[str] = (),
    min_agreement: float | None = None,
    tokenizer: str | Path | None = None,
    task: str | None = None,
    opset: int | None = None,
    functions: bool = True,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> OptimizeReport:
    """Removes NoNorm from a MobileBERT graph, merges its GEMMs and fuses its blocks; checks the result, and writes it.

    On request in a lower precision: chosen on some texts, and compared on others with the file that was read, which is
    run in float64.

    Args:
        model: An `.onnx` file of anybody's, of opset 11 or newer, or a bundle.
        output: The `.onnx` file to write.
        target: `cpu`, `mobile` or `web`.
        precision: `fp32`; `fp16`; or `int8`: weights and embeddings of 8 bits, activations quantized as they come or,
            for `mobile`, with steps that are chosen beforehand.
        calibrate: Texts for fp16 and int8: lines, TSV, JSONL, or SQuAD's JSON; default: built-in sentences.
        keep_float: Layers that stay float32, such as `layer.3`, `embeddings` or `head`.
        min_agreement: The share of decisions that fp16 or int8 must make as float64 does; default 0.99. It is told, and
            nothing is refused, for a bundle of one of the built-in random models.
        tokenizer: The tokenizer.json that reads the texts, or a folder with one; default: the bundle's.
        task: What the file answers; default: what its bundle or its outputs say.
        opset: The opset of the result; default: the file's, 18 at least where anything is rewritten.
        functions: Whether blocks become operators of the domain `mbert`, with standard bodies; never for `mobile`.
        only, skip: Names of the passes that run, or do not; default: all. `passes` lists them.
        overwrite: Replace a file that is there.
        progress: Called with each pass's name.

    Raises:
        UsageError: no such target, precision, pass, opset or task.
        BundleError: the output cannot be written; for a lower precision, the file has no tokenizer, or takes or gives
            something else than its task.
        PrecisionError: the file is in a lower precision already, cannot be, or it would do too much damage.
        CalibrationError: the texts cannot be used.
        graphs.errors.GraphError: the file cannot be read or run, or its opset not be raised.
        VerificationError: the result is not the same model; nothing is written.
    """
    started = time.perf_counter()
    output = Path(output)
    _check_options(target, opset, only, skip)
    others = {"--tokenizer": tokenizer is not None, "--task": task is not None}
    check_precision(precision, calibrate, keep_float, min_agreement, others)
    path, _ = find_file(model)
    check_file_destination(output, overwrite)
    if output.exists() and path.exists() and output.samefile(path):
        raise BundleError(f"{output} is the file that is read; choose another --output")
    graph = read_model(path)
    nodes, old_opset, old_bytes = graph.graph.num_nodes(), graph.opset_imports.get("", 0), _file_bytes(path, graph)
    external = any(isinstance(v.const_value, ir.ExternalTensor) for v in graph.graph.initializers.values())
    _check_readable(path, graph)
    gate = None
    if precision != "fp32":
        gate = FileGate.of(graph, model, precision, calibrate=calibrate, tokenizer=tokenizer, task=task)
    with refusing(precision):
        outcome = optimize_graph(
            graph,
            target=target,
            precision=precision,
            calibration=() if gate is None else gate.texts.fit,
            keep_float=keep_float,
            opset=opset,
            functions=functions,
            only=only,
            skip=skip,
            progress=progress,
        )
    damage, notes = (None, []) if gate is None else gate.measure(outcome, target, min_agreement, keep_float)
    with writing_file(output, overwrite) as partial:
        if outcome.changed:
            ir.save(ir.external_data.load_to_model(outcome.model), partial)
            if gate is None:
                _check_file(outcome, partial)
            else:
                gate.check_written(partial)
        elif external:
            ir.save(ir.external_data.load_to_model(read_model(path)), partial)  # one file, as ours are
        else:
            shutil.copyfile(path, partial)
    return OptimizeReport(
        path=output,
        changed=outcome.changed,
        target=target,
        opset=outcome.model.opset_imports.get("", 0) if outcome.changed else old_opset,
        nodes_before=nodes,
        nodes_after=outcome.model.graph.num_nodes() if outcome.changed else nodes,
        bytes_before=old_bytes,
        bytes_after=output.stat().st_size,
        ledger=outcome.ledger,
        restarts=outcome.restarts,
        given_error=outcome.given_error,
        error=outcome.error,
        bar=outcome.bound if gate is None else None,
        seconds=round(time.perf_counter() - started, 2),
        precision=precision,
        damage=damage,
        plan=outcome.plan,
        notes=notes if gate is None else [*gate.notes, *notes],
    )


def passes() -> list[Stage]:
    """The passes, in the order in which they run; one that runs several times stands there as often."""
    return list(STAGES)


def check_passes(only: Collection[str] | None, skip: Collection[str]) -> None:
    """Raises UsageError for a name that no pass has."""
    known = sorted({stage.name for stage in STAGES})
    for name in (*(only or ()), *skip):
        if name not in known:
            raise UsageError(f"no pass is called {name!r}; expected some of {', '.join(known)}")


def _check_options(target: str, opset: int | None, only: Collection[str] | None, skip: Collection[str]) -> None:
    if target not in TARGETS:
        raise UsageError(f"--target is {target!r}; expected one of {', '.join(TARGETS)}")
    check_passes(only, skip)
    if opset is not None:
        try:
            check_opset(opset)
        except GraphError as error:
            raise UsageError(str(error)) from error


def _check_file(outcome: Outcome, path: Path) -> None:
    """Runs the file as its users will, with all that onnxruntime makes of it."""
    if outcome.judge is None:
        return
    try:
        error = outcome.judge.error_of_file(path)
    except GraphError as error_:
        raise VerificationError(str(error_)) from error_
    if not error <= outcome.judge.bound:
        raise VerificationError(
            f"the optimised file is not the same model: centred error {error:.1e}, bar {outcome.judge.bound:.1e}; "
            "nothing is written"
        )


def _check_readable(path: Path, model: ir.Model) -> None:
    """Raises GraphError for what onnxruntime does not load, or no file of ours can hold."""
    opset, newest = model.opset_imports.get("", 0), newest_opset()
    if opset > newest:
        raise GraphError(f"{path} is opset {opset}; the installed onnxruntime goes up to {newest}: export it again")
    read = [value for node in model.graph for value in node.inputs if value is not None]
    for value in (*read, *model.graph.outputs):
        if value.producer() is None and not value.is_graph_input() and not value.is_initializer():
            raise GraphError(f"{path}: nothing computes {value.name}; the graph is incomplete: export it again")
    size = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)
    if size > MOST_BYTES:
        raise GraphError(f"{path} has {size:,} bytes of weights; one .onnx file holds {MOST_BYTES:,}: it is too large")


def _file_bytes(path: Path, model: ir.Model) -> int:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    beside = {Path(tensor.path) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    return path.stat().st_size + sum(other.stat().st_size for other in beside)
