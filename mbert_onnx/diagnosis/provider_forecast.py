"""`doctor --provider`: what a provider would take of a model before a device is at hand, and what would change it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from graphs.errors import GraphError
from mbert_onnx._requirements import require_extra
from mbert_onnx.bundles.model_file import find_file, is_file
from mbert_onnx.conversion.optimizer import optimize
from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.native_kernels import AUTO, library_for, why_not_native
from perf.errors import PerfError
from perf.providers import KNOWN, Provider, named
from perf.providers.forecast import Forecast, forecast

ALL = "all"

# The length for which a model of fixed sizes is forecast, unless it has fewer positions; every length divides alike.
SEQ_LEN = 128

# The sizes in front of the length, as `export --target mobile` fixes them; choices are those of multiple choice.
BATCH, CHOICES = 1, 4

MAKE_FIXED = "python -m onnxruntime.tools.make_dynamic_shape_fixed"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Alternative:
    """Another file of the same model, and what the provider would take of it.

    Args:
        how: What makes it.
        forecast: Of it.
    """

    how: str
    forecast: Forecast


@dataclass(frozen=True)
class ProviderDiagnosis:
    """What a provider would make of a model.

    Args:
        model: As the user gave it.
        how: What made the file that was looked at; empty where the user gave it.
        forecast: Of that file.
        alternatives: What else could be given to the provider.
        notes: What a user should know, a line each.
    """

    model: str
    how: str
    forecast: Forecast
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = asdict(self)
        told["forecast"] = self.forecast.as_dict()
        told["alternatives"] = [{"how": one.how, "forecast": one.forecast.as_dict()} for one in self.alternatives]
        return told


def doctor_provider(
    model: str | Path,
    providers: str,
    *,
    task: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ProviderDiagnosis]:
    """Which nodes of a model each provider would take, in how many partitions, why not the rest, and what helps.

    A provider that is usable here is asked itself; of the others, the published rules are read. Nothing is written. A
    checkpoint is traced as `export` does it, for the target that the provider wants; a file is forecast as it is, as
    `optimize` would leave it for that target, and with sizes fixed where the provider wants that.

    Args:
        model: A bundle, an `.onnx` file of anybody's, or a checkpoint (a folder, a hub id or `random`).
        providers: Names with commas, or `all`.
        task: What a checkpoint answers; default: what its config says.
        seed: Of the random models' weights.
        progress: Called with a line at the start of each stage.

    Raises:
        perf.errors.PerfUsageError: a name that no provider has.
        perf.errors.PerfError: onnxruntime does not load the file, or does not start a provider that has no rules.
        UsageError, BundleError, CheckpointError: there is no such model, or it cannot be read.
        graphs.errors.GraphError: a checkpoint's graph cannot be optimized.
        MissingExtraError: a checkpoint, and torch is not installed.
    """
    wanted = list(KNOWN) if providers.strip().lower() == ALL else [named(name) for name in providers.split(",")]
    tell = progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        if is_file(model):
            files: _Files = _GivenFiles(model, Path(folder), tell)
        else:
            files = _CheckpointFiles(model, Path(folder), tell, task=task, seed=seed)
        return [_diagnosis(str(model), files, provider, tell) for provider in dict.fromkeys(wanted)]


def _diagnosis(model: str, files: _Files, provider: Provider, tell: Progress) -> ProviderDiagnosis:
    how, file = files.main(provider)
    tell(f"forecasting {provider.name}")
    first = _forecast(file, provider, tell)
    alternatives, notes = [], []
    for other_how, make in files.others(provider, first):
        try:
            other = make()
            if other is not None:
                alternatives.append(Alternative(other_how, _forecast(other, provider, tell)))
        except (MbertError, GraphError, PerfError) as error:
            notes.append(f"{other_how}: {error}")
    return ProviderDiagnosis(model, how, first, tuple(alternatives), tuple(notes))


def _forecast(file: Path, provider: Provider, tell: Progress) -> Forecast:
    library = library_for(AUTO) if provider.kernels and why_not_native(file) is None else None
    return forecast(file, provider, library, tell)


# What is forecast

Make = Callable[[], Path | None]


class _Files:
    """The files of one model, each made once."""

    def main(self, provider: Provider) -> tuple[str, Path]:
        """What made the file that is forecast first, and that file."""
        raise NotImplementedError

    def others(self, provider: Provider, first: Forecast) -> list[tuple[str, Make]]:
        """What would make other files that the provider may like better; a file that is no other is None."""
        raise NotImplementedError


class _GivenFiles(_Files):
    """A file of anybody's."""

    def __init__(self, model: str | Path, folder: Path, tell: Progress) -> None:
        self._path, bundle = find_file(model)
        positions = None if bundle is None else bundle.config.get("max_position_embeddings")
        self._seq_len = min(SEQ_LEN, positions) if isinstance(positions, int) else SEQ_LEN
        self._folder, self._tell = folder, tell
        self._made: dict[str, Path | None] = {}

    def main(self, provider: Provider) -> tuple[str, Path]:
        return "", self._path

    def others(self, provider: Provider, first: Forecast) -> list[tuple[str, Make]]:
        if first.taken_nodes == first.nodes or not provider.needs.precisions:
            return []
        target = provider.needs.target
        command = f"mbert-onnx optimize MODEL --target {target}"
        found: list[tuple[str, Make]] = [(command, lambda: self._optimized(target))]
        if provider.needs.fixed_shapes and _free_sizes(self._path):
            sizes = f"{MAKE_FIXED} for batch {BATCH} and {self._seq_len} tokens"
            found.append((f"{command}, then {sizes}", lambda: self._fixed(target)))
        return found

    def _optimized(self, target: str) -> Path | None:
        """None where it stays as it is."""
        if target not in self._made:
            self._tell(f"optimizing for {target}")
            file = self._folder / f"{target}.onnx"
            report = optimize(self._path, file, target=target)
            self._made[target] = file if report.changed else None
        return self._made[target]

    def _fixed(self, target: str) -> Path:
        from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed  # imports torch, where there is one

        model = onnx.load(self._optimized(target) or self._path)
        for value in model.graph.input:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, _sizes(len(dims), self._seq_len), strict=True):
                if dim.dim_param:
                    make_dim_param_fixed(model.graph, dim.dim_param, size)
        file = self._folder / f"{target}-fixed.onnx"
        onnx.save(model, file)
        return file


class _CheckpointFiles(_Files):
    """What `export` would make of a checkpoint."""

    def __init__(self, model: str | Path, folder: Path, tell: Progress, *, task: str | None, seed: int) -> None:
        require_extra("export", "doctor of a checkpoint")
        from mbert_onnx.model.checkpoint import load_checkpoint

        tell(f"reading {model}")
        self._loaded = load_checkpoint(model, task=task, seed=seed)
        self._seq_len = min(SEQ_LEN, self._loaded.config.max_position_embeddings)
        self._folder, self._tell = folder, tell
        self._made: dict[str, Path] = {}

    def main(self, provider: Provider) -> tuple[str, Path]:
        return self._command(provider.needs.target), self._exported(provider.needs.target)

    def others(self, provider: Provider, first: Forecast) -> list[tuple[str, Make]]:
        if provider.needs.target == "cpu":
            return []
        return [(self._command("cpu"), lambda: self._exported("cpu"))]

    def _command(self, target: str) -> str:
        options = f" --target mobile --seq-len {self._seq_len}" if target == "mobile" else ""
        return f"mbert-onnx export CHECKPOINT{options}"

    def _exported(self, target: str) -> Path:
        import onnx_ir as ir

        from graphs.model.opsets import OLDEST_OPSET
        from graphs.pipeline import optimize as optimize_graph
        from mbert_onnx.bundles.inputs import Shapes
        from mbert_onnx.conversion.tracing import trace

        if target not in self._made:
            choices = CHOICES if self._loaded.task.has_choices else None
            shapes = Shapes(BATCH, self._seq_len, choices, int32=True) if target == "mobile" else Shapes()
            self._tell(f"tracing, for the target {target}")
            graph = trace(self._loaded.model, self._loaded.task, shapes)
            made = optimize_graph(graph, target=target, opset=OLDEST_OPSET, refuse=False).model
            self._made[target] = self._folder / f"{target}.onnx"
            ir.save(made, self._made[target])
        return self._made[target]


def _free_sizes(path: Path) -> bool:
    """Whether an input has a size that is only named."""
    inputs = onnx.load(path, load_external_data=False).graph.input
    return any(dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim)


def _sizes(dimensions: int, seq_len: int) -> list[int]:
    """The sizes of an input of ids: the batch, the choices if it has them, the length."""
    return [BATCH, *[CHOICES] * (dimensions - 2), seq_len][-dimensions:]
