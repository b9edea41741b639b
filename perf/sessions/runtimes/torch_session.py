"""torch on the CPU: transformers' module of a checkpoint (`model.safetensors` beside its config)."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import CPU, Provider
from perf.sessions.inputs import DeclaredInput
from perf.sessions.session import Placement

try:
    import torch
    import transformers
except ImportError as error:
    raise PerfError("torch or transformers is not installed here; pip install 'mbert-onnx[export]'") from error

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("logits", "start_logits", "end_logits", "last_hidden_state", "pooler_output", "sentence_embedding")


class TorchSession:
    """A module, with the methods of onnxruntime's session.

    Args:
        model: transformers' module.
        call: The function that runs it: the module itself, or its compiled version.
        threads: The number of threads; torch has one number for the whole process.
    """

    def __init__(self, model: Any, call: Callable[..., Any], threads: int) -> None:
        self.model, self.threads = model, threads
        self._call = call
        axes = (None,) * (3 if "MultipleChoice" in type(model).__name__ else 2)
        inputs = [name for name in INPUTS if name in inspect.signature(model.forward).parameters]
        self._declared = [DeclaredInput(name, "tensor(int64)", axes) for name in inputs]
        # One token, which every vocabulary and number of positions has.
        example = {name: np.full([1] * len(axes), name == "attention_mask", np.int64) for name in inputs}
        self._outputs = [name for name in self._run(model, example) if name in OUTPUTS]

    def get_inputs(self) -> list[DeclaredInput]:
        return self._declared

    def get_outputs(self) -> list[DeclaredInput]:
        return [DeclaredInput(name, "tensor(float)", ()) for name in self._outputs]

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self._run(self._call, feed)
        return [found[name].numpy() for name in self._outputs]

    def _run(self, call: Callable[..., Any], feed: Mapping[str, np.ndarray]) -> Any:
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            return call(**{name: torch.from_numpy(value) for name, value in feed.items()})


def load(path: Path, provider: Provider) -> Any:
    """Loads transformers' module of a checkpoint, in float32.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, or one that transformers does not load.
    """
    if provider != CPU:
        raise PerfUsageError(f"{path.parent.name} runs in torch on the CPU, not on {provider.name}: bench it apart")
    if not path.is_file():
        raise PerfError(f"no file {path}; expected a checkpoint's weights: check the path")
    try:
        (architecture,) = json.loads((path.parent / "config.json").read_bytes())["architectures"]
        return getattr(transformers, architecture).from_pretrained(path.parent).eval()
    except Exception as error:  # it raises many classes
        raise PerfError(
            f"transformers {transformers.__version__} cannot load {path.parent}: {one_line(error)}"
        ) from None


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> TorchSession:
    """Opens the module itself, as `from_pretrained` returns it. Raises what `load` raises."""
    model = load(path, provider)
    return TorchSession(model, model, threads)


def placement(session: TorchSession) -> Placement:
    """Returns its modules by class, without those that only contain others."""
    kinds = [type(module).__name__ for module in session.model.modules() if not [*module.children()]]
    return Placement({"torch": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}})


def describe(session: TorchSession) -> str:
    """Returns the version, and the attention that transformers chose."""
    chosen = getattr(session.model.config, "_attn_implementation", None) or "eager"
    return f"torch {torch.__version__.partition('+')[0]}, eager mode ({chosen} attention)"
