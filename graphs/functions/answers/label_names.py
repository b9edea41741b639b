"""Names of labels in the metadata of a model file, as JSON lists of strings.

An app reads them from the session, for example `session.get_modelmeta().custom_metadata_map` in Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphs.errors import GraphError

# Keys of the metadata: names by the numbers in the outputs `labels`, and `entities`.
LABELS, ENTITIES = "labels", "entities"


def write_names(model: ir.Model, labels: Sequence[str], entities: Sequence[str] | None = None) -> None:
    """Writes the names of a model's labels, and those of its entities if it has any, into its metadata."""
    model.metadata_props[LABELS] = json.dumps(list(labels))
    if entities is not None:
        model.metadata_props[ENTITIES] = json.dumps(list(entities))


def read_names(metadata: Mapping[str, str], key: str = LABELS) -> list[str] | None:
    """Returns the names that a model's metadata has under a key; None if it has none.

    Raises GraphError if they are not a JSON list of strings.
    """
    text = metadata.get(key)
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GraphError(
            f"the model's metadata has {key} = {text[:60]!r}, expected a JSON list of strings; export it again"
        )
    return names
