"""What a measurement can fail on: one line for a person, an exit code for a script."""

from __future__ import annotations


class PerfError(Exception):
    """A file, a provider or a machine is not as it must be. The message says what was found, expected, and to do."""

    exit_code = 1


class PerfUsageError(PerfError):
    """What was asked for cannot be meant: an unknown provider, a length that the model does not take."""

    exit_code = 2


def one_line(error: Exception) -> str:
    """The text of another library's exception without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
