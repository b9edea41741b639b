"""`doctor`: where a model's numbers are too large or too small for fp16 and int8, and what rescaling makes of them."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
from tokenizers import Tokenizer

from graphs.errors import GraphError, one_line
from graphs.model.loading import read_model
from graphs.pipeline import LOWER
from graphs.reports.layer_errors import prepare
from graphs.reports.tensor_ranges import Numbers, as_is, measure_numbers
from mbert_onnx._requirements import require_extra
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import TextModel, TextReader, find_file, is_file, read_text_model, tokenizer_file
from mbert_onnx.bundles.reader import TOKENIZER
from mbert_onnx.conversion.precision import Calibration, read_texts
from mbert_onnx.conversion.precision_gate import check_is_float32
from mbert_onnx.errors import CheckpointError
from mbert_onnx.text.tasks import Task

# The version of what `--json` prints.
SCHEMA = 1

# The state of a graph that is as it was found; the others are called as the precision that it is rescaled for.
AS_IS = "as_is"

# With more than this share of its layers kept in float32, a file gains little by a lower precision.
MOST_KEPT = 0.5


@dataclass(frozen=True)
class Prospect:
    """What a precision would make of the model.

    Args:
        precision: `fp16` or `int8`.
        tensors: How many tensors it would lower, as the graph is: for fp16 all activations and weights, for int8 what
            matrix products read.
        unsafe: How many of them are not safe in it, as the graph is.
        overflowing: In how many of them some numbers are beyond what float16 holds.
        rescaled_tensors, rescaled_unsafe, rescaled_overflowing: Likewise, after our rescaling.
        keep_float: The layers that are not safe after it, in order.
        safe: Whether all are.
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
    """What `doctor` found.

    Args:
        model: As the user gave it.
        task: What it answers.
        calibration: Where the texts come from.
        texts, tokens: On how many it was measured; padding not counted.
        maps: The numbers of all tensors: of the graph as it is, `as_is`; and rescaled for `fp16` and `int8`.
        prospects: What each precision would make of it.
        pieces: The texts of the tokens that stand out, by their ids, such as `[CLS]`.
        notes: What a user should know, a line each.
        seconds: What it took.
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

    @property
    def layers(self) -> list[str]:
        """Their names, in order."""
        return list(dict.fromkeys(numbers.layer for numbers in self.maps[AS_IS]))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: numbers that are not finite are None."""
        maps = {state: [self._numbers(numbers) for numbers in found] for state, found in self.maps.items()}
        found = {**asdict(self), "schema": SCHEMA, "maps": maps}
        found.pop("pieces")
        return found

    def _numbers(self, numbers: Numbers) -> dict[str, Any]:
        told = {**asdict(numbers), "peak": numbers.peak, "safe_in_fp16": numbers.safe_in_fp16}
        told["safe_in_int8"] = numbers.safe_in_int8
        told["tokens"] = [{**token, "piece": self.pieces.get(token["token_id"])} for token in told["tokens"]]
        found = _finite(told)
        assert isinstance(found, dict)
        return found


def doctor(
    model: str | Path,
    *,
    calibrate: str | Path | None = None,
    tokenizer: str | Path | None = None,
    task: str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Maps a model's numbers on real texts: as it is, and as our rescaling for fp16 and int8 would leave it.

    Nothing is written.

    Args:
        model: A bundle, an `.onnx` file of anybody's, or a checkpoint (a folder, a hub id or `random`), which is traced
            as `export` does it.
        calibrate: The texts: lines, TSV, JSONL, or SQuAD's JSON; default: built-in sentences.
        tokenizer: The tokenizer.json that reads them, or a folder with one; default: the bundle's or checkpoint's.
        task: What the model answers; default: what its bundle, outputs or config say.
        seed: Of the random models' weights.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: an unknown task, or a file that does not tell its own.
        BundleError, CheckpointError, graphs.errors.GraphError: it cannot be read, or nothing reads texts for it.
        VerificationError: onnxruntime does not load or run the file.
        PrecisionError: a file in a lower precision.
        CalibrationError: the texts cannot be used.
        MissingExtraError: a checkpoint, and torch is not installed.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    tell(f"reading {model}")
    if is_file(model):
        patient = _file(model, calibrate, tokenizer, task)
    else:
        patient = _checkpoint(model, calibrate, tokenizer, task, seed)
    graph, texts = patient.graph, patient.texts
    maps = {}
    tell(f"measuring {len(texts.fit)} texts")
    try:
        maps[AS_IS] = measure_numbers(as_is(graph), texts.fit)
        for precision in LOWER:
            tell(f"measuring what rescaling for {precision} makes of it")
            maps[precision] = measure_numbers(prepare(graph.clone(), precision, texts.fit), texts.fit)
    except GraphError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise GraphError(f"onnxruntime does not run the graph on the texts ({one_line(error)})") from error
    masks = [feed["attention_mask"] for feed in texts.fit]
    return Diagnosis(
        model=str(model),
        task=patient.task.name,
        calibration=texts.source,
        texts=sum(mask.shape[0] for mask in masks),
        tokens=int(sum(mask.sum() for mask in masks)),
        maps=maps,
        prospects={precision: _prospect(precision, maps) for precision in LOWER},
        pieces=patient.pieces(maps),
        notes=[*patient.notes, *texts.notes],
        seconds=round(time.perf_counter() - started, 2),
    )


# What is examined


@dataclass(frozen=True)
class _Patient:
    """A graph, texts for it, and what reads them: a tokenizer's file may be gone by now."""

    graph: ir.Model
    task: Task
    texts: Calibration
    tokenizer: Tokenizer
    notes: list[str]

    @classmethod
    def of(cls, graph: ir.Model, model: TextModel, calibrate: str | Path | None, notes: list[str]) -> _Patient:
        texts = read_texts(calibrate, model)
        return cls(graph, model.reader.task, texts, Tokenizer.from_file(str(model.reader.tokenizer)), notes)

    def pieces(self, maps: dict[str, list[Numbers]]) -> dict[int, str]:
        """The texts of all tokens that stand out."""
        ids = {token.token_id for found in maps.values() for numbers in found for token in numbers.tokens}
        return {token_id: self.tokenizer.id_to_token(token_id) or str(token_id) for token_id in sorted(ids)}


def _file(model: str | Path, calibrate: str | Path | None, tokenizer: str | Path | None, task: str | None) -> _Patient:
    path, bundle = find_file(model)
    graph = read_model(path)
    check_is_float32(graph, path, "doctor is about what float32 would lose")
    read = read_text_model(path, bundle, purpose="doctor measures it on texts", task=task, tokenizer=tokenizer)
    return _Patient.of(graph, read, calibrate, [])


def _checkpoint(
    model: str | Path, calibrate: str | Path | None, tokenizer: str | Path | None, task: str | None, seed: int
) -> _Patient:
    """Of a checkpoint: what `export` would trace of it, with a tokenizer in a folder that is gone afterwards."""
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
            reader=TextReader(loaded.task, file, config.vocab_size, config.max_position_embeddings),
            is_random=loaded.folder is None,
        )
        return _Patient.of(trace(loaded.model, loaded.task, Shapes()), read, calibrate, loaded.notes)


# What is said of it


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
    """The tensors that a precision would lower."""
    return numbers if precision == "fp16" else [one for one in numbers if one.error is not None]


def _is_safe(precision: str, numbers: Numbers) -> bool:
    return numbers.safe_in_fp16 if precision == "fp16" else numbers.safe_in_int8


def _finite(value: Any) -> Any:
    """The same, with None for numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
