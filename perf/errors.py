"""Errors of this package: a one-line message for a user, an exit code for a script."""

from __future__ import annotations


class PerfError(Exception):
    """A file, provider or machine cannot be used. The message says what was found, what was expected and what to do."""

    exit_code = 1


class PerfUsageError(PerfError):
    """An option is out of range or unknown, such as a provider's name or a length that the model does not take."""

    exit_code = 2


def one_line(error: Exception) -> str:
    """Returns the message of another library's exception without line breaks, or the name of its class if empty."""
    return " ".join(str(error).split()) or type(error).__name__
