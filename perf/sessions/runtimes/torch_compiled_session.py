"""torch.compile on the CPU: transformers' own module, compiled for each length."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perf.providers import Provider
from perf.sessions.runtimes import torch_session
from perf.sessions.runtimes.torch_session import TorchSession, load

import torch  # isort: skip  # after torch_session, whose error is one line if torch is not installed

# Weights may be folded into the code, since the model is not trained.
OPTIONS: dict[str, Any] = {"freezing": True}


@functools.cache
def _compiled(path: Path, provider: Provider, threads: int) -> tuple[Any, Callable[..., Any]]:
    # Compiling for each number of threads and each length takes long, so later sessions share the code.
    torch._dynamo.config.recompile_limit = 64
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    model = load(path, provider)
    return model, torch.compile(model, dynamic=False, options=OPTIONS)


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> TorchSession:
    """Opens the module with `torch.compile`, which compiles at the first run of a length. Raises what `load` raises."""
    model, call = _compiled(path, provider, threads)
    return TorchSession(model, call, threads)


placement = torch_session.placement


def describe(session: TorchSession) -> str:
    """Returns the version and options."""
    return f"torch {torch.__version__.partition('+')[0]}, torch.compile with {OPTIONS}"
