"""What can be wrong with a graph that is handed in."""

from __future__ import annotations


class GraphError(Exception):
    """A graph that cannot be read or rewritten as asked. The message says what was found, expected, and to do."""

    exit_code = 1
