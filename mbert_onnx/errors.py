"""What goes wrong because of a user's input, a file or a machine: one line for a person, an exit code for a script."""

from __future__ import annotations


class MbertError(Exception):
    """Something outside this program is not as it must be. The message says what was found, expected, and to do."""

    exit_code = 1


class UsageError(MbertError):
    """An option or argument that cannot be meant."""

    exit_code = 2


class CheckpointError(MbertError):
    """A checkpoint that cannot be read, or is not a MobileBERT."""


class BundleError(MbertError):
    """A folder or `.onnx` file that cannot be read or written."""


class VerificationError(MbertError):
    """A graph that does not say the same as the model it was made from."""


class PrecisionError(MbertError):
    """A model that a lower precision would damage more than is allowed."""


class _TextError(MbertError):
    """Base of errors about texts. Their messages may quote a file, so they are reduced to one printable line."""

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__("".join(character if character.isprintable() else "?" for character in line))


class DataError(_TextError):
    """A file or dataset of texts that cannot be used for training or evaluation."""


class CalibrationError(_TextError):
    """Calibration texts that cannot be read, are too few, or do not suit the model."""


class TrainingError(MbertError):
    """A training that cannot begin, go on, or be trusted."""


class MissingExtraError(MbertError):
    """A command that needs a package that is not installed."""
