"""`optimize`: converts any MobileBERT `.onnx` file to a fast one."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from graphs.errors import GraphError
from graphs.execution.judge import float64_runner
from graphs.ledger import Outcome
from graphs.model.external_data import external_bytes, external_files
from graphs.model.loading import read_model
from graphs.model.opsets import check_opset, newest_opset
from graphs.model.precision_of import precision_of, quantized_operators
from graphs.pipeline import STAGES, TARGETS, Stage, compared_form
from graphs.pipeline import optimize as optimize_graph
from mbert_onnx.bundles.model_file import check_ordinary, find_file, open_session, read_text_model
from mbert_onnx.bundles.onnx_writer import check_file_destination, save_model, writing_file
from mbert_onnx.bundles.ports import Ports, rename_inputs, restore_inputs
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.session_errors import LoadError
from mbert_onnx.bundles.types import Progress
from mbert_onnx.conversion.damage import Damage
from mbert_onnx.conversion.precision import PrecisionOptions, precision_errors, read_texts
from mbert_onnx.conversion.precision_gate import PrecisionGate, check_is_float32, check_is_lowered
from mbert_onnx.conversion.reports import OptimizeReport
from mbert_onnx.conversion.text_files.given import given_text, write_around
from mbert_onnx.conversion.text_files.plan import TextRequest
from mbert_onnx.errors import BundleError, PrecisionError, UsageError, VerificationError

# The most bytes of weights in one file: protobuf reads 2 GiB, of which the graph itself takes a part.
MOST_BYTES = 2**31 - 2**24


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
    outputs: Sequence[str] = (),
    opset: int | None = None,
    functions: bool = True,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    overwrite: bool = False,
    text: bool = False,
    text_pair: bool = False,
    progress: Progress | None = None,
) -> OptimizeReport:
    """Removes NoNorm from a MobileBERT graph, merges its GEMMs and fuses its blocks; checks the result, and writes it.

    On request in a lower precision, which is chosen on some texts, and compared on others with the file that was read,
    run in float64.

    Args:
        model: Any MobileBERT `.onnx` file of opset 11 or newer, or a bundle. Half precision is widened to float32, and
            a file that is quantized already is copied.
        output: The `.onnx` file to write.
        target: `cpu`, `mobile` or `web`.
        precision: `fp32`; `fp16`; or `int8`: weights and embeddings of 8 bits, activations quantized dynamically or,
            for `mobile`, with static scales.
        calibrate: Texts for fp16 and int8: lines, TSV, JSONL, or SQuAD's JSON; default: built-in sentences.
        keep_float: Layers that stay float32, such as `layer.3`, `embeddings` or `head`.
        min_agreement: The smallest share of decisions in which fp16 or int8 agrees with float64; default 0.99. For a
            bundle of one of the built-in random models it is reported, and nothing is refused.
        tokenizer: The tokenizer.json that reads the texts, or a folder with one; default: the bundle's.
        task: The file's task; default: what its bundle or its outputs say.
        outputs: The file's names of the task's outputs, in the task's order, for fp16 and int8; default: those of the
            task's names, or else of its shapes.
        opset: The opset of the result; default: the file's, 18 at least where anything is rewritten.
        functions: Whether blocks become operators of the domain `mbert`, with standard bodies; never for `mobile`.
        only: Names of the passes that run; default: all. `passes` lists them.
        skip: Names of the passes that do not run.
        overwrite: Replace a file that is there.
        text: Whether the file is a text file: UTF-8 bytes in, the task's answer out. It needs a tokenizer.
        text_pair: The same, for a text classification that reads pairs of texts.
        progress: Called with each pass's name.

    Raises:
        UsageError: no such target, precision, pass, opset or task.
        BundleError: the output cannot be written; for a lower precision, the file has no tokenizer, or its inputs or
            outputs are not its task's.
        PrecisionError: the file cannot be in this precision, or would lose too much accuracy.
        CalibrationError: the texts cannot be used.
        graphs.errors.GraphError: the file cannot be read or run, or its opset not be raised; or its outputs are not
            finite, or not the same in two runs.
        VerificationError: the result is not the same model; nothing is written.
    """
    started, output = time.perf_counter(), Path(output)
    request = _Request(
        model,
        target=target,
        precision=PrecisionOptions(precision, calibrate, keep_float, min_agreement),
        tokenizer=tokenizer,
        task=task,
        outputs=outputs,
        opset=opset,
        functions=functions,
        only=only,
        skip=skip,
        text=TextRequest(text, text_pair),
    )
    request.check()
    source = _read(model, output, overwrite)
    around = given_text(request.text, source.path, source.bundle, task, outputs, tokenizer)
    given = _notes_if_quantized(request, source)
    gate = _gate(request, source) if request.precision.is_lower and not given else None
    outcome = _optimize(request, source, gate, progress)
    with writing_file(output, overwrite) as file:
        _write(source, outcome, file)
        damage: Damage | None = None
        notes = [*given, *outcome.notes]
        if gate is not None:
            damage, measured = gate.check(outcome, file)
            notes += measured
        elif outcome.changed:
            _verify(source, outcome, file)
        text_file = None
        if around is not None:
            text_file = replace(write_around(file, around), path=output)
            notes += around.plan.notes
    return OptimizeReport(
        path=output,
        changed=outcome.changed,
        target=target,
        opset=outcome.model.opset_imports.get("", 0) if outcome.changed else source.opset,
        nodes_before=source.nodes,
        nodes_after=outcome.model.graph.num_nodes() if outcome.changed else source.nodes,
        bytes_before=source.bytes,
        bytes_after=output.stat().st_size,
        ledger=outcome.ledger,
        restarts=outcome.restarts,
        given_error=outcome.given_error,
        error=outcome.error,
        bar=outcome.bound if gate is None else None,
        seconds=round(time.perf_counter() - started, 2),
        precision="int8" if given else precision,
        damage=damage,
        plan=outcome.plan,
        notes=notes,
        text=text_file,
    )


def passes() -> list[Stage]:
    """Returns the passes in the order in which they run; one that runs several times is listed as often."""
    return list(STAGES)


def check_passes(only: Collection[str] | None, skip: Collection[str]) -> None:
    """Raises UsageError for a name that is not a pass's."""
    known = sorted({stage.name for stage in STAGES})
    for name in (*(only or ()), *skip):
        if name not in known:
            raise UsageError(f"no pass is called {name!r}; expected some of {', '.join(known)}")


@dataclass(frozen=True)
class _Request:
    """The options of `optimize`, except for the output."""

    model: str | Path
    target: str
    precision: PrecisionOptions
    tokenizer: str | Path | None
    task: str | None
    outputs: Sequence[str]
    opset: int | None
    functions: bool
    only: Collection[str] | None
    skip: Collection[str]
    text: TextRequest

    def check(self) -> None:
        """Raises UsageError for what is wrong whatever the file is."""
        if self.target not in TARGETS:
            raise UsageError(f"--target is {self.target!r}; expected one of {', '.join(TARGETS)}")
        check_passes(self.only, self.skip)
        if self.opset is not None:
            try:
                check_opset(self.opset)
            except GraphError as error:
                raise UsageError(str(error)) from error
        about_texts = {
            "--tokenizer": self.tokenizer is not None,
            "--task": self.task is not None,
            "--outputs": bool(self.outputs),
        }
        self.precision.check(None if self.text.wanted else about_texts, instead="--text")


@dataclass(frozen=True)
class _Source:
    """The file as it was read.

    Args:
        path: The file.
        bundle: The bundle that it is in; None for a file on its own.
        graph: Its graph, with transformers' names of inputs.
        ports: The file's own names.
        nodes: Nodes of the main graph.
        opset: Its opset.
        bytes: Its size, external weights included.
        has_external: Whether some of its weights are in other files.
    """

    path: Path
    bundle: Bundle | None
    graph: ir.Model
    ports: Ports
    nodes: int
    opset: int
    bytes: int
    has_external: bool


def _read(model: str | Path, output: Path, overwrite: bool) -> _Source:
    """Reads the file, after a check that the output may be written."""
    path, bundle = find_file(model)
    check_ordinary(path, "optimize")
    check_file_destination(output, overwrite)
    if output.exists() and path.exists() and output.samefile(path):
        raise BundleError(f"{output} is the file that is read; choose another --output")
    graph = read_model(path)
    external = external_bytes(graph)
    if output.exists() and any(output.samefile(file) for file in external_files(graph)):
        raise BundleError(f"{output} has the weights of the file that is read; choose another --output")
    source = _Source(
        path=path,
        bundle=bundle,
        graph=graph,
        ports=rename_inputs(graph.graph),
        nodes=graph.graph.num_nodes(),
        opset=graph.opset_imports.get("", 0),
        bytes=path.stat().st_size + external,
        has_external=bool(external),
    )
    _check_readable(source)
    return source


def _check_readable(source: _Source) -> None:
    """Raises GraphError for a graph that onnxruntime does not load, or that does not fit into one file."""
    path, graph, newest = source.path, source.graph.graph, newest_opset()
    if source.opset > newest:
        raise GraphError(
            f"{path} is opset {source.opset}; the installed onnxruntime goes up to {newest}: export it again"
        )
    read = [value for node in graph for value in node.inputs if value is not None]
    for value in (*read, *graph.outputs):
        if value.producer() is None and not value.is_graph_input() and not value.is_initializer():
            raise GraphError(f"{path}: nothing computes {value.name}; the graph is incomplete: export it again")
    twice = [name for name, count in Counter(value.name for value in graph.outputs).items() if count > 1]
    if twice:
        raise GraphError(f"{path} lists the output {twice[0]} twice; expected each once: export it again")
    size = sum(v.const_value.nbytes for v in graph.initializers.values() if v.const_value is not None)
    if size > MOST_BYTES:
        raise GraphError(f"{path} has {size:,} bytes of weights; one .onnx file holds {MOST_BYTES:,}: it is too large")


def _notes_if_quantized(request: _Request, source: _Source) -> list[str]:
    """Returns a note for a file whose products are in 8 or fewer bits, which the passes leave as it is; else none.

    Raises PrecisionError for such a file where fp16 is wanted.
    """
    operators = quantized_operators(source.graph)
    if not operators and request.precision.precision == "fp16" and precision_of(source.graph) == "int8":
        raise PrecisionError(
            f"{source.path} has embeddings in 8 bits already, and fp16 is made of float32: give the float32 file that "
            "it was made from"
        )
    if not operators:
        return []
    found = f"{source.path} is quantized already ({', '.join(operators)})"
    if request.precision.precision == "fp16":
        raise PrecisionError(f"{found}, and fp16 is made of float32: give the float32 file that it was made from")
    return [
        f"{found}, and the passes read float weights, so that it stays as it is; for a faster file, optimize the "
        "float32 one that it was made from with --precision int8"
    ]


def _gate(request: _Request, source: _Source) -> PrecisionGate:
    """Returns the gate whose judge is the file that was read, in float64.

    Raises PrecisionError for a file whose half precision is not to be widened, and what `read_text_model`, `read_texts`
    and `float64_runner` raise.
    """
    precision = request.precision.precision
    graph, _ = compared_form(source.graph, request.only, request.skip)
    check_is_float32(graph, source.path, f"--precision {precision} is made of float32")
    model = read_text_model(
        source.path,
        source.bundle,
        purpose=f"--precision {precision} is chosen on texts",
        task=request.task,
        outputs=request.outputs,
        tokenizer=request.tokenizer,
    )
    texts = read_texts(request.precision.calibrate, model)
    judge, is_float64 = float64_runner(graph, texts.held_out[0])
    return PrecisionGate(
        name=model.name,
        task=model.reader.task,
        target=request.target,
        options=request.precision,
        texts=texts,
        float32=graph,
        judge=judge,
        is_float64=is_float64,
        binding=not model.is_random,
        ports=model.ports,
    )


def _optimize(request: _Request, source: _Source, gate: PrecisionGate | None, progress: Progress | None) -> Outcome:
    precision = request.precision.precision
    with precision_errors(precision), _faults_of_the_file(source.path):
        outcome = optimize_graph(
            source.graph,
            target=request.target,
            precision=precision,
            calibration=() if gate is None else gate.texts.fit,
            keep_float=request.precision.keep_float,
            opset=request.opset,
            functions=request.functions,
            only=request.only,
            skip=request.skip,
            progress=progress,
        )
    if gate is not None:
        check_is_lowered(outcome.model, precision, gate.name)
    return outcome


@contextmanager
def _faults_of_the_file(path: Path) -> Iterator[None]:
    """Turns any error of a pass into a GraphError if onnxruntime does not load the file either: the file is invalid.

    The passes and onnx_ir, on which they are built, take valid graphs, and raise many classes for others.
    """
    try:
        yield
    except (GraphError, MemoryError):
        raise
    except Exception as error:
        try:
            open_session(path)
        except LoadError as fault:
            raise GraphError(f"{str(fault).rstrip('.')}; export it again") from error
        raise


def _write(source: _Source, outcome: Outcome, file: Path) -> None:
    """Writes the optimized graph in one file, with the file's own names; a copy where nothing was optimized."""
    if outcome.changed:
        restore_inputs(outcome.model.graph, source.ports)
        save_model(outcome.model, file)
        rename_inputs(outcome.model.graph)
    elif source.has_external:
        save_model(read_model(source.path), file)
    else:
        shutil.copyfile(source.path, file)


def _verify(source: _Source, outcome: Outcome, file: Path) -> None:
    """Runs a float32 file with onnxruntime's default optimizations; raises VerificationError where it differs."""
    if outcome.judge is None:
        return
    try:
        error = outcome.judge.error_of_file(file, source.ports.own_inputs)
    except GraphError as error_:
        raise VerificationError(str(error_)) from error_
    if not error <= outcome.judge.bound:
        raise VerificationError(f"{outcome.judge.refusal('the optimised file', error)}; nothing is written")
