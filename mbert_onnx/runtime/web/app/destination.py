"""The folder of an app: which one may be written or replaced, and the files in it that are not the app's."""

from __future__ import annotations

from mbert_onnx.bundles.atomic import FILES, GENERATOR, OwnFolder

# The file that says that a folder is an app of ours, and which files are.
RECORD, OURS = "app.json", "mbert-onnx app web"

_FOLDER = OwnFolder(RECORD, OURS, "an app", "choose another --output")
ADVICE = _FOLDER.advice
check_destination, own_files, writing = _FOLDER.check, _FOLDER.own_files, _FOLDER.writing

__all__ = ["ADVICE", "FILES", "GENERATOR", "OURS", "RECORD", "check_destination", "own_files", "writing"]
