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

import torch  # isort: skip  # behind torch_session, which says in a line that it is not there

# Weights may be folded into the code, which pays for a model that is only run.
OPTIONS: dict[str, Any] = {"freezing": True}


@functools.cache
def _compiled(path: Path, provider: Provider, threads: int) -> tuple[Any, Callable[..., Any]]:
    # Each number of threads and each length is compiled anew, which takes long, so later sessions get the same code.
    torch._dynamo.config.recompile_limit = 64
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    model = load(path, provider)
    return model, torch.compile(model, dynamic=False, options=OPTIONS)


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> TorchSession:
    """What `torch.compile` makes of the module, compiled when it is first run at a length. Raises what `load` does."""
    model, call = _compiled(path, provider, threads)
    return TorchSession(model, call, threads)


placement = torch_session.placement


def describe(session: TorchSession) -> str:
    """Version and options."""
    return f"torch {torch.__version__.partition('+')[0]}, torch.compile with {OPTIONS}"
