"""Quiet use of libraries: without log messages, and without threads that take other programs' processor time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime

# onnxruntime's log level for fatal errors only: errors are raised as exceptions.
SILENT = 4


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Silences a logger, such as `onnx_ir`, within the context."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def quiet_options() -> onnxruntime.SessionOptions:
    """Returns options of a session that logs nothing and whose waiting threads sleep.

    By default a thread that waits for work spins, which is faster on an idle machine. On a busy one it takes the time
    of the threads that it waits for.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
