"""Errors about a given graph."""

from __future__ import annotations


def one_line(error: BaseException | None) -> str:
    """Returns the message of a library's error in one line, or the error's type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


class GraphError(Exception):
    """Raised for a graph that cannot be read or rewritten. The message says what was found and expected."""

    exit_code = 1


class GraphUsageError(GraphError):
    """Raised for a name that the caller gives and the graph does not have, such as a layer's."""

    exit_code = 2


class NotRunnableError(GraphError):
    """Raised for a given graph that onnxruntime does not load, or does not run on any sample inputs."""
