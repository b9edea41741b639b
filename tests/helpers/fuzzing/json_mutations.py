"""Mutations of JSON by structure: valid JSON whose values have other types, sizes and keys."""

from __future__ import annotations

import copy
import json
from math import isfinite
from random import Random
from typing import Any

# Texts that are replaced once the JSON is written, by what Python's `json` does not write.
RAW = {
    '"@digits@"': "1" * 5000,
    '"@deep@"': "[" * 3000 + "]" * 3000,
    '"@deep object@"': '{"a":' * 3000 + "1" + "}" * 3000,
    '"@exponent@"': "1e999",
}
JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    2**31,
    2**32,
    2**63,
    -(2**63),
    2**64,
    10**9,
    10**18,
    10**400,
    0.0,
    -0.5,
    1.5,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    " ",
    "x",
    "1",
    "nan",
    "inf",
    "F32",
    "float16",
    "gelu",
    "MobileBertModel",
    "../secret.bin",
    "/etc/passwd",
    "a" * 5000,
    "\x00",
    "\n",
    "\x1b[31m",
    "\ud800",
    "\u202e",
    "%s{}",
    [],
    {},
    [[]],
    [None],
    [1],
    ["x"],
    [1, "x", None],
    {"0": "a"},
    {"x": 1},
    {"": {}},
    "@digits@",
    "@deep@",
    "@deep object@",
    "@exponent@",
)
# Levels at which a mutation may happen; reports and tokenizers have up to six.
DEEPEST = 12


def mutated_json(data: bytes, random: Random) -> bytes:
    """Returns the bytes of a JSON value with one to four random changes."""
    value = json.loads(data)
    for _ in range(min(int(random.expovariate(0.8)) + 1, 4)):
        value = mutated_value(value, random)
    text = json.dumps(value)
    for mark, raw in RAW.items():
        text = text.replace(mark, raw)
    return text.encode(random.choice(("utf-8",) * 6 + ("utf-8-sig", "utf-16")))


def mutated_value(value: Any, random: Random) -> Any:
    """Changes a value in place at a random depth, or returns another one."""
    if random.random() < 0.02:
        return _junk(random)
    inner = value
    for _ in range(DEEPEST):
        key = _key(inner, random)
        if key is None:
            return _junk(random) if inner is value else value
        child = inner[key]
        if isinstance(child, dict | list) and child and random.random() < 0.8:
            inner = child
            continue
        _change(inner, key, random)
        return value
    return value


def _key(value: Any, random: Random) -> Any:
    if isinstance(value, dict) and value:
        return random.choice(list(value))
    return random.randrange(len(value)) if isinstance(value, list) and value else None


def _change(owner: Any, key: Any, random: Random) -> None:
    what = random.random()
    if what < 0.55:
        owner[key] = _other(owner[key], random)
    elif what < 0.7:
        del owner[key]
    elif isinstance(owner, dict):
        name = random.choice([*owner, "", "x", "\n", "0", "-1", "a" * 300, "../secret.bin"])
        owner[name] = owner.pop(key) if what < 0.85 else _junk(random)
    elif what < 0.85:
        owner.extend(copy.deepcopy(owner[key]) for _ in range(random.choice((1, 2, 20))))
    else:
        owner.insert(key, _junk(random))


def _junk(random: Random) -> Any:
    """Returns a copy, because the next mutation may change it."""
    return copy.deepcopy(random.choice(JUNK))


def _other(value: Any, random: Random) -> Any:
    if isinstance(value, bool) or random.random() < 0.6:
        return _junk(random)
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return random.choice(
            (-value, value + 1, value - 1, value * 2, value * 10, value // 3, repr(value)[:40], [value])
        )
    if isinstance(value, str):
        return random.choice((value * 2, value[::-1], value[1:], value.upper(), [value], value + "\n", "##" + value))
    return _junk(random)
