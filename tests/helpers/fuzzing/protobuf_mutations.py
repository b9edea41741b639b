"""Mutations of protobuf messages by field: valid messages whose fields are missing, repeated, or of other values."""

from __future__ import annotations

from random import Random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

INTEGERS = (0, 1, -1, 2, 3, 7, 16, 127, 255, 2**31 - 1, -(2**31), 2**31, 2**40, 2**63 - 1, -(2**63))
FLOATS = (0.0, -1.0, 1e-45, 3e38, float("nan"), float("inf"))
TEXTS = (
    "",
    "x",
    "y",
    "\n",
    "\x1b[31m",
    "a" * 3000,
    "../secret.bin",
    "/etc/passwd",
    "data.bin",
    ".",
    "location",
    "offset",
    "length",
    "-1",
    "10",
    "99999999999999999999",
    "ai.onnx",
    "mbert",
    "MatMul",
    "If",
    "Constant",
    "Reshape",
    "\u0130",
)
# Chance to go on into a message instead of changing it as a whole.
DESCENT = 0.85


def mutated_model(data: bytes, random: Random) -> bytes:
    """Returns the bytes of an ONNX model with one to four fields changed."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(min(int(random.expovariate(0.8)) + 1, 4)):
        _mutate(model, random)
    return bytes(model.SerializeToString())


def _mutate(message: Message, random: Random) -> None:
    fields = message.ListFields()
    if not fields or random.random() < 0.08:
        _set(message, random.choice(message.DESCRIPTOR.fields), random)
        return
    field, value = random.choice(fields)
    if field.type != FieldDescriptor.TYPE_MESSAGE or random.random() > DESCENT:
        _set(message, field, random)
    else:
        _mutate(random.choice(value) if field.is_repeated else value, random)


def _set(message: Message, field: FieldDescriptor, random: Random) -> None:
    """Clears a field, or gives it another value; of a repeated one, changes one element, removes or repeats it."""
    found: Any = getattr(message, field.name)
    if random.random() < 0.2:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_list(found, field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        found.SetInParent()
    else:
        setattr(message, field.name, _scalar(field, found, random))


def _change_list(found: Any, field: FieldDescriptor, random: Random) -> None:
    what, index = random.random(), random.randrange(len(found)) if found else None
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if index is None or what < 0.2:
            found.add()
        elif what < 0.5:
            del found[index]
        elif what < 0.8:
            found.add().CopyFrom(found[index])
        else:
            found[index].CopyFrom(found[random.randrange(len(found))])
    elif index is None or what < 0.3:
        found.append(_scalar(field, None, random))
    elif what < 0.5:
        del found[index]
    else:
        found[index] = _scalar(field, found[index], random)


def _scalar(field: FieldDescriptor, value: Any, random: Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return random.choice((b"", b"\xff", (value or b"") * 2, (value or b"")[1:], random.randbytes(16)))
        return random.choice((*TEXTS, (value or "") + "_", (value or "")[1:]))
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random.choice(FLOATS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return random.choice(field.enum_type.values).number
    integers = [number for number in (*INTEGERS, (value or 0) + 1) if _fits(number, kind)]
    return random.choice(integers)


def _fits(number: int, kind: int) -> bool:
    low, high = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    }.get(kind, (0, 1))
    return low <= number <= high
