"""Value ranges (`doctor`): which tensors are unsafe in fp16 and int8, before and after rescaling."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphs.errors import GraphError, one_line
from graphs.functions.text_file.detach import without_text
from graphs.model.loading import read_model
from graphs.pipeline import LOWER, compared_form
from graphs.reports.layer_errors import prepare
from graphs.reports.tensor_ranges import Numbers, as_is, measure_numbers
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import TextModel, TextReader, find_file, is_file, read_text_model, tokenizer_file
from mbert_onnx.bundles.onnx_writer import save_model
from mbert_onnx.bundles.ports import rename_inputs
from mbert_onnx.bundles.reader import Bundle, find_text_file, read_bundle
from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.bundles.session_errors import LoadError, session_error
from mbert_onnx.conversion.comparison.padding import PaddingEffect
from mbert_onnx.conversion.precision import Calibration, read_texts
from mbert_onnx.conversion.precision_gate import check_is_float32
from mbert_onnx.diagnosis.padding import padding_effect, padding_note
from mbert_onnx.errors import BundleError, CheckpointError, VerificationError
from mbert_onnx.errors.requirements import require_extra
from mbert_onnx.runtime.text_files.record import TextRecord
from mbert_onnx.text.tasks import Task
from mbert_onnx.text.tokenizer import padding_id, read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Version of the JSON form.
SCHEMA = 1

# Name of the state of a graph before rescaling; the other states are named by the precision they are rescaled for.
AS_IS = "as_is"

# Largest share of layers in float32 with which a lower precision is still advised.
MOST_KEPT = 0.5


@dataclass(frozen=True)
class Prospect:
    """Counts of unsafe tensors in a lower precision, and the advice that follows.

    Args:
        precision: `fp16` or `int8`.
        tensors: Number of tensors that it lowers, before rescaling: for fp16 all activations and weights, for int8 the
            inputs of matrix products.
        unsafe: Number of them that are unsafe.
        overflowing: Number of them with values beyond float16's range.
        rescaled_tensors, rescaled_unsafe, rescaled_overflowing: The same counts after rescaling.
        keep_float: Layers with unsafe tensors after rescaling, in order.
        safe: Whether there are none.
        advice: What to do, in one line.
    """

    precision: str
    tensors: int
    unsafe: int
    overflowing: int
    rescaled_tensors: int
    rescaled_unsafe: int
    rescaled_overflowing: int
    keep_float: list[str]
    safe: bool
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """Result of `doctor`.

    Args:
        model: The model argument, as given.
        task: The model's task.
        calibration: Source of the texts.
        texts, tokens: Numbers of texts and tokens measured; padding is not counted.
        maps: Statistics of all tensors by state: `as_is`, and rescaled for `fp16` and for `int8`.
        prospects: Counts and advice by precision.
        pieces: Texts of the outlier tokens by id, such as `[CLS]`.
        notes: Notes for the user, a line each.
        seconds: Duration.
        padding: How padding changes the outputs; None where it does not.
    """

    model: str
    task: str
    calibration: str
    texts: int
    tokens: int
    maps: dict[str, list[Numbers]]
    prospects: dict[str, Prospect]
    pieces: dict[int, str]
    notes: list[str]
    seconds: float
    padding: PaddingEffect | None = None

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in order."""
        return list(dict.fromkeys(numbers.layer for numbers in self.maps[AS_IS]))

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; numbers that are not finite are None."""
        maps = {state: [self._numbers(numbers) for numbers in found] for state, found in self.maps.items()}
        found = {**asdict(self), "schema": SCHEMA, "maps": maps}
        found.pop("pieces")
        return found

    def _numbers(self, numbers: Numbers) -> dict[str, Any]:
        result = {**asdict(numbers), "peak": numbers.peak, "safe_in_fp16": numbers.safe_in_fp16}
        result["safe_in_int8"] = numbers.safe_in_int8
        result["tokens"] = [{**token, "piece": self.pieces.get(token["token_id"])} for token in result["tokens"]]
        found = _finite(result)
        assert isinstance(found, dict)
        return found


def doctor(
    model: str | Path,
    *,
    calibrate: str | Path | None = None,
    tokenizer: str | Path | None = None,
    task: str | None = None,
    outputs: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Measures the range of every tensor on texts: as it is, and rescaled for fp16 and int8. Writes nothing.

    Args:
        model: A bundle, any MobileBERT `.onnx` file, or a checkpoint (a folder, a hub id or `random`), which is traced
            as by `export`.
        calibrate: The texts: a .txt (one a line), .tsv, .csv, .jsonl or SQuAD .json file; default: built-in sentences.
        tokenizer: A tokenizer.json, or the folder that it is in; default: the bundle's or checkpoint's.
        task: The model's task; default: the one of its bundle or config, or the one that its outputs fit.
        outputs: A file's names of the task's outputs, in the task's order; default: by their names or shapes.
        seed: Seed of the random models' weights.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: an unknown task, or none given for a file whose outputs fit none.
        BundleError, CheckpointError, graphs.errors.GraphError: the model cannot be read, or has no tokenizer.
        VerificationError: onnxruntime does not load or run the file.
        PrecisionError: the file is in 8 or fewer bits already.
        CalibrationError: the texts cannot be used.
        MissingExtraError: the model is a checkpoint, and torch is not installed.
    """
    started = time.perf_counter()
    report = progress or (lambda _: None)
    report(f"reading {model}")
    if (text_file := find_text_file(model)) is not None:
        subject = _inside(text_file, calibrate, tokenizer)
    elif is_file(model):
        subject = _file(model, calibrate, tokenizer, task, outputs)
    else:
        subject = _checkpoint(model, calibrate, tokenizer, task, seed)
    graph, texts = subject.graph, subject.texts
    maps = {}
    report(f"measuring {len(texts.fit)} texts")
    try:
        maps[AS_IS] = measure_numbers(as_is(graph), texts.fit)
        for precision in LOWER:
            report(f"measuring after rescaling for {precision}")
            maps[precision] = measure_numbers(prepare(graph.clone(), precision, texts.fit), texts.fit)
        report("measuring the effect of padding")
        padding = padding_effect(
            graph, texts, subject.task, subject.padding_token, subject.longest, fixed=subject.fixed
        )
    except GraphError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise GraphError(f"onnxruntime does not run the graph on the texts ({one_line(error)})") from error
    masks = [feed["attention_mask"] for feed in texts.fit]
    notes = [*subject.notes, *texts.notes]
    if padding is not None:
        notes.append(padding_note(graph, subject.padding_token, padding))
    return Diagnosis(
        model=str(model),
        task=subject.task.name,
        calibration=texts.source,
        texts=sum(mask.shape[0] for mask in masks),
        tokens=int(sum(mask.sum() for mask in masks)),
        maps=maps,
        prospects={precision: _prospect(precision, maps) for precision in LOWER},
        pieces=subject.pieces(maps),
        notes=notes,
        seconds=round(time.perf_counter() - started, 2),
        padding=padding,
    )


# The measured graph


@dataclass(frozen=True)
class _Subject:
    """A graph with its texts and tokenizer, which is loaded here because its file may be temporary."""

    graph: ir.Model
    task: Task
    texts: Calibration
    tokenizer: Tokenizer
    notes: list[str]
    padding_token: int
    longest: int
    fixed: bool

    @classmethod
    def of(
        cls, graph: ir.Model, model: TextModel, calibrate: str | Path | None, notes: list[str], padding_token: int
    ) -> _Subject:
        reader, shapes, texts = model.reader, model.shapes, read_texts(calibrate, model)
        tokenizer = read_tokenizer(reader.tokenizer)
        fixed = shapes.seq_len is not None or shapes.multiple > 1
        return cls(graph, reader.task, texts, tokenizer, notes, padding_token, reader.max_positions, fixed)

    def pieces(self, maps: dict[str, list[Numbers]]) -> dict[int, str]:
        """Returns the texts of all outlier tokens by id."""
        ids = {token.token_id for found in maps.values() for numbers in found for token in numbers.tokens}
        return {token_id: self.tokenizer.id_to_token(token_id) or str(token_id) for token_id in sorted(ids)}


def _file(
    model: str | Path,
    calibrate: str | Path | None,
    tokenizer: str | Path | None,
    task: str | None,
    outputs: Sequence[str],
) -> _Subject:
    path, bundle = find_file(model)
    try:
        return _opened(path, bundle, calibrate, tokenizer, task, outputs)
    except LoadError as error:
        # The whole path, and advice: the file is the user's own.
        raise VerificationError(session_error("load", str(error.path), error.__cause__ or error)) from error


def _inside(path: Path, calibrate: str | Path | None, tokenizer: str | Path | None) -> _Subject:
    """Measures the model inside a text file, on texts that the tokenizer beside the file or the given one reads."""
    model = read_model(path)
    task = TextRecord.of(model.metadata_props, path).task
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder, path.name)
        save_model(without_text(model), inside)
        try:
            bundle = replace(read_bundle(path), model_path=inside)
        except BundleError:
            bundle = None  # a file on its own
        return _opened(inside, bundle, calibrate, tokenizer, task.name, ())


def _opened(
    path: Path,
    bundle: Bundle | None,
    calibrate: str | Path | None,
    tokenizer: str | Path | None,
    task: str | None,
    outputs: Sequence[str],
) -> _Subject:
    graph, notes = compared_form(read_model(path))
    check_is_float32(graph, path, "doctor is about what float32 would lose")
    rename_inputs(graph.graph)
    read = read_text_model(
        path, bundle, purpose="doctor measures it on texts", task=task, outputs=outputs, tokenizer=tokenizer
    )
    in_config = None if bundle is None else bundle.config.get("pad_token_id")
    return _Subject.of(graph, read, calibrate, notes, padding_id(read.reader.tokenizer, in_config))


def _checkpoint(
    model: str | Path, calibrate: str | Path | None, tokenizer: str | Path | None, task: str | None, seed: int
) -> _Subject:
    """Traces a checkpoint as by `export`; its tokenizer is written to a temporary folder."""
    require_extra("export", "doctor of a checkpoint")
    from mbert_onnx.conversion.tracing import trace
    from mbert_onnx.model.checkpoint import load_checkpoint
    from mbert_onnx.model.tokenizer_files import write_tokenizer

    loaded = load_checkpoint(model, task=task, seed=seed)
    config = loaded.config
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder)
        if tokenizer is not None:
            file = tokenizer_file(tokenizer)
        elif write_tokenizer(loaded.folder, own, config.vocab_size, config.max_position_embeddings):
            file = own / TOKENIZER
        else:
            raise CheckpointError(
                f"{model} has no tokenizer, and doctor measures it on texts; pass --tokenizer with its {TOKENIZER}, or "
                "the folder that it is in"
            )
        read = TextModel(
            name=loaded.name,
            shapes=Shapes(),
            reader=TextReader(
                loaded.task, file, config.vocab_size, config.max_position_embeddings, config.type_vocab_size
            ),
            is_random=loaded.folder is None,
        )
        graph = trace(loaded.model, loaded.task, Shapes())
        return _Subject.of(graph, read, calibrate, loaded.notes, padding_id(file, config.pad_token_id))


# Advice


def _prospect(precision: str, maps: dict[str, list[Numbers]]) -> Prospect:
    found, rescaled = (_lowered(precision, maps[state]) for state in (AS_IS, precision))
    unsafe = [numbers for numbers in rescaled if not _is_safe(precision, numbers)]
    keep = list(dict.fromkeys(numbers.layer for numbers in rescaled if numbers in unsafe))
    layers = {numbers.layer for numbers in maps[precision]}
    if not unsafe:
        advice = f"pass --precision {precision}"
    elif len(keep) <= MOST_KEPT * len(layers):
        advice = f"pass --precision {precision} --keep-float {','.join(keep)}"
    else:
        advice = f"{len(keep)} of {len(layers)} layers would have to stay float32, so little would be gained: keep fp32"
    return Prospect(
        precision=precision,
        tensors=len(found),
        unsafe=sum(not _is_safe(precision, numbers) for numbers in found),
        overflowing=sum(numbers.overflows for numbers in found),
        rescaled_tensors=len(rescaled),
        rescaled_unsafe=len(unsafe),
        rescaled_overflowing=sum(numbers.overflows for numbers in rescaled),
        keep_float=keep,
        safe=not unsafe,
        advice=advice,
    )


def _lowered(precision: str, numbers: list[Numbers]) -> list[Numbers]:
    """Returns the tensors that a precision lowers."""
    return numbers if precision == "fp16" else [one for one in numbers if one.error is not None]


def _is_safe(precision: str, numbers: Numbers) -> bool:
    return numbers.safe_in_fp16 if precision == "fp16" else numbers.safe_in_int8


def _finite(value: Any) -> Any:
    """Replaces numbers that are not finite, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
