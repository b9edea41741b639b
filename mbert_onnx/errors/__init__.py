"""Errors caused by input, files or the machine: a one-line message, and an exit code for the command line."""

from __future__ import annotations


class MbertError(Exception):
    """Base of the errors. A message says what was found, what was expected, and what to do."""

    exit_code = 1


class UsageError(MbertError):
    """An option or argument with an invalid value, or options that exclude each other."""

    exit_code = 2


class CheckpointError(MbertError):
    """A checkpoint that cannot be read, or is not a MobileBERT."""


class BundleError(MbertError):
    """A folder or `.onnx` file that cannot be read or written."""


class VerificationError(MbertError):
    """A graph whose outputs differ from those of the model that it was built from."""


class PrecisionError(MbertError):
    """A lower precision that is not possible, or whose accuracy loss is larger than allowed."""


class _TextError(MbertError):
    """Base of errors about texts. Their messages may quote a file, so they are reduced to one printable line."""

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__("".join(character if character.isprintable() else "?" for character in line))


class DataError(_TextError):
    """A file or dataset of texts that cannot be used for training or evaluation."""


class ColumnError(DataError):
    """A column that an option or a recipe names, and the file does not have."""

    exit_code = 2


class CalibrationError(_TextError):
    """Calibration texts that cannot be read, are too few, or do not suit the model."""


class TrainingError(MbertError):
    """A training that cannot start or resume, or whose numbers are not valid."""


class MissingExtraError(MbertError):
    """A command that needs a package that is not installed."""
