"""Tensors that hold sizes, such as the target of a Reshape, computed from the shapes of the graph's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, constant
from graphs.model.sizes import Size, shape_of


def _reshaped_inputs(graph: ir.Graph, known: Mapping[str, object]) -> dict[str, tuple[ir.Value, int]]:
    """Returns the values and axes of sizes that an input has only after a Reshape: products of its dimensions.

    There is one for each Reshape, which computes it as its -1; its size cannot be read from its own output.
    """
    found: dict[str, tuple[ir.Value, int]] = {}
    for value in graph.inputs:
        for use in value.uses():
            if use.node.op_type != "Reshape" or use.node.domain != "" or use.idx != 0:
                continue
            dims = shape_of(use.node.outputs[0]) or []
            new = [(dim, axis) for axis, dim in enumerate(dims) if isinstance(dim, str) and dim not in known]
            if len(new) == 1 and 0 not in dims and all(part in known for part in new[0][0].split("*")):
                dim, axis = new[0]
                found.setdefault(dim, (use.node.outputs[0], axis))
    return found


class SizeTensors:
    """Builder of tensors that hold sizes: constants where nothing is dynamic, else from the inputs' shapes, once each.

    ``[batch, seq, 4, 32]`` is ``Concat(Shape(input_ids)[0:2], [4, 32])``, at the start of the graph. Sizes that an
    input has only after a Reshape (the rows of multiple choice, ``batch*choices``) are read from the Reshape's output;
    the graph must then be sorted afterwards.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._first = next(iter(graph), None)
        self._at: dict[str, tuple[ir.Value, int]] = {}
        for value in graph.inputs:
            if value.is_initializer():
                continue
            for axis, dim in enumerate(shape_of(value) or []):
                if isinstance(dim, str):
                    self._at.setdefault(dim, (value, axis))
        self._reshaped = _reshaped_inputs(graph, self._at)
        self._built: dict[tuple[Size, ...], ir.Value] = {}
        for node in graph:
            self._remember(node)

    def _remember(self, node: ir.Node) -> None:
        """Registers a node that an earlier builder of the same graph wrote."""
        if node.op_type == "Shape" and node.domain == "":
            source, start, end = node.inputs[0], node.attributes.get_int("start", 0), node.attributes.get_int("end", 0)
            names = {axis: name for name, (value, axis) in self._sources() if value is source}
            if end > start and all(axis in names for axis in range(start, end)):
                self._built.setdefault(tuple(names[axis] for axis in range(start, end)), node.outputs[0])
        elif node.op_type == "Concat" and node.domain == "":
            numbers: list[Size] = []
            before: tuple[Size, ...] = ()
            for part in node.inputs:
                array = constant(part)
                if array is not None and array.dtype == np.int64 and array.ndim == 1:
                    numbers, before = [*numbers, *(int(n) for n in array)], ()
                    continue
                known = next((key for key, value in self._built.items() if value is part), None)
                if known is None:
                    return
                if isinstance(known[0], str) and before and self._are_neighbours((before[-1], known[0]), (0, 1)):
                    return  # one Shape reads both
                numbers, before = [*numbers, *known], known
            self._built.setdefault(tuple(numbers), node.outputs[0])

    def _sources(self) -> Iterable[tuple[str, tuple[ir.Value, int]]]:
        return chain(self._at.items(), self._reshaped.items())

    def possible(self, numbers: Sequence[Size]) -> bool:
        """Returns whether each size is a number or the dimension of an input, as it is or reshaped."""
        return all(isinstance(n, int) or n in self._at or n in self._reshaped for n in numbers)

    def differ(self, left: Size, right: Size) -> bool:
        """Returns whether two sizes certainly differ: numbers, or a dimension of an input and a negative number."""
        if isinstance(left, int) and isinstance(right, int):
            return left != right
        number, name = (left, right) if isinstance(left, int) else (right, left)
        return isinstance(number, int) and number < 0 and self.possible([name])

    def shape_possible(self, dims: Sequence[Size]) -> bool:
        """Returns whether all sizes but one, which Reshape infers, are numbers or dimensions of inputs."""
        return 0 not in dims and sum(isinstance(dim, str) and dim not in self._at for dim in dims) <= 1

    def shape(self, dims: Sequence[Size]) -> ir.Value | None:
        """Returns the target of a Reshape to this shape; None if it cannot be built.

        A single dynamic size is -1. Several that are neighbours in the shape of an input are read from it, and none is
        -1, which Reshape does not infer beside a size of 0 (a batch without texts).
        """
        if not self.shape_possible(dims):
            return None
        dynamic = [index for index, dim in enumerate(dims) if isinstance(dim, str)]
        if len(dynamic) > 1 and self._are_neighbours(dims, dynamic):
            return self.vector(dims, together=True)
        unknown = [index for index in dynamic if dims[index] not in self._at]
        target = list(dims)
        if dynamic:
            target[(unknown or dynamic)[-1]] = -1
        return self.vector(target)

    def _are_neighbours(self, dims: Sequence[Size], places: Sequence[int]) -> bool:
        """Returns whether the sizes at these places are neighbours there and in the shape of one input."""
        sources = [self._at.get(str(dims[place])) for place in places]
        value, axis = sources[0] or (None, 0)
        return value is not None and all(
            source == (value, axis + index) and place == places[0] + index
            for index, (source, place) in enumerate(zip(sources, places, strict=True))
        )

    def vector(self, numbers: Sequence[Size], *, together: bool = False) -> ir.Value | None:
        """Returns an int64 vector of these sizes; None if it cannot be built.

        `together`: whether one Shape reads the dynamic sizes, which are neighbours in an input's shape.
        """
        key = tuple(numbers)
        if not self.possible(numbers):
            return None
        if key not in self._built:
            several = len(key) > 1 and all(isinstance(n, str) for n in key)
            together = together or (several and self._are_neighbours(key, range(len(key))))
            self._built[key] = self._build(key, together)
        return self._built[key]

    def built(self, value: ir.Value) -> bool:
        """Returns whether this builder built the value."""
        return any(value is built for built in self._built.values())

    def numbers(self, value: ir.Value) -> Sequence[Size] | None:
        """Returns the sizes in a constant vector, or in a vector of this builder; None for any other value."""
        array = constant(value)
        if array is not None:
            return [int(number) for number in array.reshape(-1)] if array.dtype.kind in "iu" else None
        return next((key for key, vector in self._built.items() if vector is value), None)

    def scalar(self, number: Size) -> ir.Value | None:
        """Returns an int64 scalar of this size; None if it cannot be built."""
        if isinstance(number, int):
            return add_initializer(self._graph, "size", np.array(number, dtype=np.int64))
        vector = self.vector([number])
        return None if vector is None else self._node("Squeeze", [vector], ir.Shape([]))

    def _build(self, numbers: tuple[Size, ...], together: bool) -> ir.Value:
        if all(isinstance(n, int) for n in numbers):
            return add_initializer(self._graph, "sizes", np.array(numbers, dtype=np.int64))
        if len(numbers) == 1 or (together and not any(isinstance(n, int) for n in numbers)):
            name = str(numbers[0])
            value, axis = self._at[name] if name in self._at else self._reshaped[name]
            read = {"start": axis, "end": axis + len(numbers)}
            return self._node("Shape", [value], ir.Shape([len(numbers)]), read)
        parts: list[tuple[Size, ...]] = []
        for number in numbers:  # neighbouring numbers are one constant
            joined = together or isinstance(number, int)
            if parts and joined and isinstance(number, int) == isinstance(parts[-1][-1], int):
                parts[-1] = (*parts[-1], number)
            else:
                parts.append((number,))
        inputs = [vector for part in parts if (vector := self.vector(part, together=together)) is not None]
        return self._node("Concat", inputs, ir.Shape([len(numbers)]), {"axis": 0})

    def _node(
        self, op_type: str, inputs: Sequence[ir.Value], shape: ir.Shape, attributes: dict[str, int] | None = None
    ) -> ir.Value:
        output = ir.Value(shape=shape, type=ir.TensorType(ir.DataType.INT64))
        node = ir.node(op_type, list(inputs), attributes=attributes, outputs=[output])
        if self._first is None:
            self._graph.append(node)
        else:
            self._graph.insert_before(self._first, node)
        return output
