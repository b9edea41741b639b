"""Nodes of a function's body, written as calls: `g("Add", x, y)` adds a node and returns its output's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

# The largest end of a Slice: to the end.
END = 2**31 - 1

Operand = str | np.ndarray


def i32(value: object) -> np.ndarray:
    return np.array(value, np.int32)


def i64(value: object) -> np.ndarray:
    return np.array(value, np.int64)


class Nodes:
    """The nodes of a body, in order. An operand is a value's name, or an array, which becomes a Constant, once."""

    def __init__(self) -> None:
        self.protos: list[NodeProto] = []
        self._current = self.protos  # the nodes of the innermost branch of an If
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._names = 0

    def __call__(self, operator: str, *operands: Operand, name: str | None = None, **attributes: Any) -> str:
        """Adds a node of one output, and returns its name."""
        return self._add(operator, operands, [name or self._fresh(operator)], attributes)[0]

    def several(self, operator: str, outputs: int, *operands: Operand, **attributes: Any) -> list[str]:
        """Adds a node of several outputs, and returns their names."""
        return self._add(operator, operands, [self._fresh(operator) for _ in range(outputs)], attributes)

    def choose(
        self,
        condition: Operand,
        types: Mapping[str, int],
        then: Callable[[], Sequence[str]],
        otherwise: Callable[[], Sequence[str]],
    ) -> list[str]:
        """Adds an If, and returns its outputs' names.

        Args:
            condition: bool of one element.
            types: The types of the outputs, and a name of each for its values.
            then: Adds the nodes of the first branch, and returns their outputs: values of nodes inside.
            otherwise: The same for the second branch.
        """
        branches = {"then_branch": self._branch(types, then), "else_branch": self._branch(types, otherwise)}
        return self._add("If", [condition], [self._fresh(name) for name in types], branches)

    def attribute(self, name: str) -> str:
        """Returns an attribute of the node that calls the function, int64 []."""
        value = self("Constant", value_int=0)
        reference = self._current[-1].attribute[0]
        reference.ClearField("i")
        reference.ref_attr_name = name
        return value

    def int32(self, x: Operand) -> str:
        return self("Cast", x, to=TensorProto.INT32)

    def int64(self, x: Operand) -> str:
        return self("Cast", x, to=TensorProto.INT64)

    def bool(self, x: Operand) -> str:
        return self("Cast", x, to=TensorProto.BOOL)

    def flat(self, x: Operand) -> str:
        return self("Reshape", x, i64([-1]))

    def where(self, x: Operand) -> str:
        """Returns the places of the true elements of a vector, int64."""
        return self.flat(self("NonZero", x))

    def only(self, x: Operand, kept: Operand) -> str:
        """Returns the elements of a vector where `kept`, bool, is true."""
        return self("Compress", x, kept)

    def column(self, x: Operand) -> str:
        """Returns [n, 1] of [n]."""
        return self("Unsqueeze", x, i64([1]))

    def size(self, x: Operand) -> str:
        """Returns the length of a vector, int64 [1]."""
        return self("Shape", x, end=1)

    def range(self, size: Operand) -> str:
        """Returns 0 to size − 1, int64; size is int64 [1]."""
        return self("Range", i64(0), self("Squeeze", size), i64(1))

    def join(self, *vectors: Operand) -> str:
        return self("Concat", *vectors, axis=0)

    def slice(self, x: Operand, begin: Operand | int, end: Operand | int = END) -> str:
        ends = [bound if isinstance(bound, str | np.ndarray) else i64([bound]) for bound in (begin, end)]
        return self("Slice", x, *ends, i64([0]))

    def slice_columns(self, x: Operand, column: int) -> str:
        """Returns one column [n] of [n, columns]."""
        return self("Gather", x, i64(column), axis=1)

    def split(self, x: Operand, count: int) -> list[str]:
        """Returns the rows [n] of [count, n], each as [1, n]."""
        if count == 1:
            return [self("Identity", x)]
        return self.several("Split", count, x, axis=0, num_outputs=count)

    def full(self, size: Operand, value: np.ndarray) -> str:
        """Returns a vector of this size, int64 [1], filled with a value of one element."""
        return self("ConstantOfShape", size, value=numpy_helper.from_array(value.reshape(1)))

    def before(self, x: Operand, first: np.ndarray) -> str:
        """Returns a vector moved by one: its first element is `first`, its last is gone."""
        return self.join(first, self.slice(x, 0, -1))

    def behind(self, x: Operand, last: np.ndarray) -> str:
        """Returns a vector moved by one the other way: its first element is gone, its last is `last`."""
        return self.join(self.slice(x, 1), last)

    def scatter(self, x: Operand, places: Operand, values: Operand, reduction: str = "none") -> str:
        return self("ScatterElements", x, places, values, axis=0, reduction=reduction)

    def _fresh(self, operator: str) -> str:
        self._names += 1
        return f"{operator}_{self._names}"

    def _branch(self, types: Mapping[str, int], add: Callable[[], Sequence[str]]) -> GraphProto:
        outside, self._current = self._current, list[NodeProto]()
        names = add()
        nodes, self._current = self._current, outside
        made = {name for node in nodes for name in node.output}
        outputs = []
        for name, dtype in zip(names, types.values(), strict=True):
            assert name in made, f"{name} is no value of this branch"
            outputs.append(helper.make_tensor_value_info(name, dtype, None))
        return helper.make_graph(nodes, self._fresh("branch"), [], outputs)

    def _add(
        self, operator: str, operands: Sequence[Operand], outputs: list[str], attributes: dict[str, Any]
    ) -> list[str]:
        inputs = [operand if isinstance(operand, str) else self._constant(operand) for operand in operands]
        self._current.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs

    def _constant(self, value: np.ndarray) -> str:
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            # Outside of all branches, which read it from there.
            name = self._constants[key] = self._fresh("Constant")
            self.protos.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
        return self._constants[key]
