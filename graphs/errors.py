"""What can be wrong with a graph that is handed in."""

from __future__ import annotations


def one_line(error: BaseException | None) -> str:
    """What an error of a library says, in one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class GraphError(Exception):
    """A graph that cannot be read or rewritten as asked. The message says what was found, expected, and to do."""

    exit_code = 1
