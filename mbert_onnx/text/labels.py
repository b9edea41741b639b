"""Names of a classifier's labels, from the `id2label` of a config."""

from __future__ import annotations

from collections.abc import Mapping

from mbert_onnx.text.json_files import brief
from mbert_onnx.text.name_lists import name_list


def label_names(id2label: object, count: int) -> tuple[dict[int, str], str | None]:
    """Returns a name for each of `count` outputs, and a note for the user if the map is not simply one of 0, 1, 2, …

    A map whose numbers are all outputs may have gaps; those are called `LABEL_<number>`, as in transformers. A map with
    one name for each output, but other numbers, such as 1 to 5, can only be meant in the same order.

    Raises ValueError, with what is wrong, for a map that does not fit the outputs.
    """
    if isinstance(id2label, list):
        id2label = dict(enumerate(id2label))
    if not isinstance(id2label, Mapping):
        raise ValueError(f"id2label is {brief(id2label)}, expected an object with a name for each label")
    named = {_number(key, value): _name(value) for key, value in id2label.items()}
    if len(named) < len(id2label):
        raise ValueError(f"id2label has {len(id2label)} keys for {len(named)} numbers; expected each once")
    numbers = sorted(named)
    notes = []
    if not set(numbers) <= set(range(count)):
        if len(numbers) != count:
            raise ValueError(
                f"id2label has {len(numbers)} labels, numbered {brief(numbers[0])} to {brief(numbers[-1])}, but "
                f"the model has {count} outputs, 0 to {count - 1}"
            )
        named = {place: named[number] for place, number in enumerate(numbers)}
        notes.append(
            f"config.json's id2label is numbered {brief(numbers[0])} to {brief(numbers[-1])}, and outputs 0 to "
            f"{count - 1}: they are named in the same order, {_shown(named)}"
        )
    missing = [number for number in range(count) if not named.get(number)]
    if missing:
        notes.append(f"config.json's id2label names {count - len(missing)} of {count} labels; {_gaps(missing)}")
    return {number: named.get(number) or default_name(number) for number in range(count)}, "; ".join(notes) or None


def names_of(id2label: object, count: int) -> dict[int, str]:
    """Returns a name for each of `count` outputs, as `label_names` does; the default names for a map that is unusable.

    For files that are exported already, whose config was not checked against the outputs.
    """
    try:
        return label_names(id2label or {}, count)[0]
    except ValueError:
        return {number: default_name(number) for number in range(count)}


def default_name(number: int) -> str:
    """Returns the name of a label that has none in the config."""
    return f"LABEL_{number}"


def _number(key: object, value: object) -> int:
    try:
        return int(key)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        swapped = isinstance(value, int) and not isinstance(value, bool)
        advice = "; it looks like label2id, swap the two" if swapped else ""
        raise ValueError(f"id2label has the key {brief(key)}, expected numbers{advice}") from None


def _name(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict | list):
        raise ValueError(f"id2label has the name {brief(value)}, expected text")
    return str(value)


def _shown(named: Mapping[int, str | None]) -> str:
    return name_list(f"{place} is {_printable(named[place] or default_name(place))}" for place in sorted(named))


def _printable(name: str) -> str:
    return name if name.isprintable() and name == brief(name)[1:-1] else brief(name)


def _gaps(missing: list[int]) -> str:
    return f"the {'other is' if len(missing) == 1 else 'others are'} called {name_list(map(default_name, missing))}"
