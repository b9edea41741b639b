"""Python code and commands in messages that convert a folder of another format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.text.json_files import brief, read_json

# Files of a training that are no weights of a model.
OF_TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth")

# Characters of the longest name in a file that is shown as it is.
LONGEST_NAME = 100


@dataclass(frozen=True)
class Place:
    """A folder or hub repository with files of another format.

    Args:
        name: The name that the user gave, for `from_pretrained`.
        folder: Its folder.
        files: Names of all files, relative to it; of a hub repository also those that were not downloaded.
    """

    name: str
    folder: Path
    files: tuple[str, ...]

    @property
    def target(self) -> str:
        """The folder for a converted checkpoint: the same, or a new one for a hub repository."""
        return self.name if Path(self.name).is_dir() else self.name.rpartition("/")[2]

    def first(self, *patterns: str) -> str | None:
        """Returns the first file that matches one of the patterns, in their order."""
        for pattern in patterns:
            for file in self.files:
                if Path(file).match(pattern) and Path(file).name not in OF_TRAINING:
                    return file
        return None


def json_in(path: Path) -> dict[str, Any]:
    """Returns the object in a file; an empty one if it cannot be read, since it only makes a message more exact."""
    try:
        content = read_json(path) if path.is_file() else {}  # a pipe would be waited for
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def short(value: object) -> str:
    """Returns a value of a file: as it is if it is a usual name, else as messages quote values."""
    text = str(value)
    return text if text.isprintable() and len(text) <= LONGEST_NAME else brief(value)


def python_code(imports: str, call: str) -> str:
    """Returns Python code as one line of a message."""
    return f"in Python: {imports}; {call}"


def quoted(value: object) -> str:
    """Returns a path or name as a string literal of Python."""
    return json.dumps(str(value), ensure_ascii=False)


def tokenizer_code(source: str, target: str) -> str:
    """Returns the code that puts a tokenizer beside converted weights."""
    saved = f"AutoTokenizer.from_pretrained({quoted(source)}).save_pretrained({quoted(target)})"
    return f"from transformers import AutoTokenizer; {saved}"


def downloaded(place: Place) -> tuple[str, Path]:
    """Returns the command that downloads all files of a hub repository, if it is one, and the folder with them."""
    if Path(place.name).is_dir():
        return "", Path(place.name)
    return f"download it (hf download {place.name} --local-dir {place.target}), then ", Path(place.target)
