"""OpenVINO on the CPU with floats as float32, though the CPU may have bfloat16."""

from __future__ import annotations

from pathlib import Path

from perf.providers import Provider
from perf.sessions.runtimes import openvino_session
from perf.sessions.runtimes.openvino_session import OpenVinoSession

placement, describe = openvino_session.placement, openvino_session.describe


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> OpenVinoSession:
    """As `openvino_session.open_session`."""
    return openvino_session.open_as(path, provider, threads, "f32")
