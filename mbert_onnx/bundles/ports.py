"""Ports of a file: transformers' names for the inputs and outputs of any exporter's file.

All other code works with transformers' names. They are translated where a file's graph is read (`rename_inputs`,
`restore_inputs`) and where its session runs (`NamedSession`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mbert_onnx.bundles.inputs import INPUT_NAMES, POSITION_IDS, transformers_names
from mbert_onnx.bundles.types import Feed
from mbert_onnx.errors import BundleError
from mbert_onnx.text.tasks import Sizes, Task, named_outputs, task_of_outputs, task_of_shapes

if TYPE_CHECKING:
    import onnx_ir as ir

IDS = INPUT_NAMES[0]

# Advice where a folder names another task than its file has.
CORRECT_TASK = "correct the task in mbert_onnx.json, or architectures in config.json"


@dataclass(frozen=True)
class Ports:
    """Names of a file's inputs and outputs.

    Args:
        inputs: transformers' names of its inputs, by its own names. Other inputs, such as labels, are filled.
        outputs: The task's names of its outputs, by its own names, where they differ.
        hidden: Names of outputs that depend on inputs that are filled, such as a loss.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    def feed(self, feed: Feed, declared: Sequence[Any]) -> dict[str, np.ndarray]:
        """Returns a feed by the file's own names; positions and zeros where it lacks an input.

        Args:
            feed: Arrays by transformers' names, or by the file's.
            declared: The file's inputs, with `name`, `type` and `shape` as onnxruntime has them.
        """
        from graphs.execution.inputs.filled import filled  # here, because running a bundle needs no `graphs`

        renamed = [Port(self.inputs.get(one.name, one.name), one.type, one.shape) for one in declared]
        arrays = filled(feed, renamed)
        return {one.name: arrays[port.name] for one, port in zip(declared, renamed, strict=True)}

    @property
    def own_inputs(self) -> dict[str, str]:
        """The file's own names of its inputs, by transformers'."""
        return {known: name for name, known in self.inputs.items()}

    def named(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns outputs by the task's names, without the hidden ones."""
        return {self.outputs.get(name, name): value for name, value in outputs.items() if name not in self.hidden}


def read_ports(names: Iterable[str], graph: Callable[[], ir.Graph]) -> Ports:
    """Returns the ports of a file: by the names of its inputs, else by what its graph does with them.

    Args:
        names: The names of its inputs.
        graph: Reads the graph; called only where a name is not known.
    """
    given = list(names)
    if set(given) <= set(INPUT_NAMES):
        return Ports({name: name for name in given})
    inputs = transformers_names(given)
    if len(inputs) == len(given):
        return Ports(inputs)
    from graphs.ir.text_inputs import outputs_behind, recognise, training_flags

    read = graph()
    values = [value for value in read.inputs if value.name in given]
    named = {value: inputs[str(value.name)] for value in values if value.name in inputs}
    inputs = {str(value.name): name for value, name in recognise(values, named).items()}
    # What depends on a training mode is shown: the mode is filled with false.
    others = [value for value in values if value.name not in inputs and value not in training_flags(read)]
    return Ports(inputs, hidden=frozenset(outputs_behind(read, others)))


def rename_inputs(graph: ir.Graph) -> Ports:
    """Gives a graph's inputs transformers' names, in place; returns the ports, for `restore_inputs`."""
    ports = read_ports([str(v.name) for v in graph.inputs if not v.is_initializer()], lambda: graph)
    if IDS not in ports.inputs.values():  # not a text model
        return Ports()
    _rename(graph, ports.inputs)
    return ports


def rename_ports(model: ir.Model, task: Task | None = None) -> str:
    """Gives a model's inputs transformers' names and its outputs the task's, in place; returns a note, empty if none.

    Inputs that transformers does not have, such as labels, are removed with the outputs that depend on them; one that
    switches training mode is removed as false.

    Args:
        model: The model.
        task: Its task; None: the one that its outputs fit. Where that is not known, outputs keep their names.
    """
    import onnx_ir as ir
    import onnx_ir.passes.common as common_passes

    from graphs.execution.inputs.declared import UNDECLARED
    from graphs.ir.text_inputs import switch_off_training, training_flags
    from graphs.model.embeddings import rows_of

    graph = model.graph
    before = [str(value.name) for value in (*graph.inputs, *graph.outputs)]
    ports = rename_inputs(graph)
    ids = next((value.shape or ir.Shape(UNDECLARED) for value in graph.inputs if value.name == IDS), None)
    if ids is None or len(ports.hidden) == len(graph.outputs):
        return ""
    flags = training_flags(graph)
    if flags:
        switch_off_training(graph)
        graph.inputs[:] = [value for value in graph.inputs if value not in flags or value.is_graph_output()]
    if ports.hidden:
        graph.outputs[:] = [output for output in graph.outputs if output.name not in ports.hidden]
        common_passes.RemoveUnusedNodesPass()(model)
        graph.inputs[:] = [v for v in graph.inputs if v.name in ports.inputs.values() or v.is_initializer() or v.uses()]
    length, vocab_size = ids[-1], rows_of(graph)
    dims = {str(v.name): None if v.shape is None else [_size(dim) for dim in v.shape] for v in graph.outputs}
    sizes = {name: _sizes(found, _size(length)) for name, found in dims.items()}
    seq_len = length if isinstance(length, int) else None
    task = task or task_of_shapes(len(ids), sizes, vocab_size)
    task = task or task_of_outputs(len(ids), sizes, seq_len=seq_len, vocab_size=vocab_size)
    names = {} if task is None else named_outputs(task, sizes, seq_len=seq_len, vocab_size=vocab_size) or {}
    for output in graph.outputs:
        output.name = names.get(str(output.name), output.name)
    after = [str(value.name) for value in (*graph.inputs, *graph.outputs)]
    return "" if after == before else f"its inputs and outputs renamed: {', '.join(before)} → {', '.join(after)}"


def _size(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value


def _sizes(shape: Sequence[int | str | None] | None, length: int | str | None) -> Sizes:
    """Returns the sizes of an output: None for one that is called as the length of the ids, `?` for unknown ones."""
    follows = [size == length and isinstance(size, str) for size in shape or ()]
    return tuple(
        None if same else size if isinstance(size, int) else "?"
        for size, same in zip(shape or (), follows, strict=True)
    )


def restore_inputs(graph: ir.Graph, ports: Ports) -> None:
    """Gives a graph's inputs the file's own names again, in place."""
    _rename(graph, ports.own_inputs)


def _rename(graph: ir.Graph, names: Mapping[str, str]) -> None:
    """Renames inputs; another value that has one of the new names gets a new name itself."""
    renamed = {value: names[str(value.name)] for value in graph.inputs if value.name in names}
    renamed = {value: name for value, name in renamed.items() if value.name != name}
    wanted = set(renamed.values())
    if not wanted:
        return
    outputs = [output for node in graph.all_nodes() for output in node.outputs]
    for value in [*graph.inputs, *graph.initializers.values(), *outputs]:
        if value.name in wanted and value not in renamed and not value.is_graph_output():
            value.name = f"{value.name}.other"
    for value, name in renamed.items():
        value.name = name


def named_session(session: Any, path: Path) -> Any:
    """Returns an onnxruntime session of a file, with transformers' names of inputs if the file has others.

    A session without text inputs, or whose outputs all depend on inputs that transformers does not have, is returned
    as it is; `inputs_of` refuses it.
    """

    def graph() -> ir.Graph:
        from graphs.model.loading import read_model  # here, because running a bundle needs no `graphs`

        return read_model(path, values=False).graph

    ports = read_ports([one.name for one in session.get_inputs()], graph)
    unchanged = all(name == known for name, known in ports.inputs.items()) and POSITION_IDS not in ports.inputs
    same = unchanged and len(ports.inputs) == len(session.get_inputs())
    visible = any(one.name not in ports.hidden for one in session.get_outputs())
    if same or not visible or IDS not in ports.inputs.values():
        return session
    return NamedSession(session, ports)


def ports_of(session: Any) -> Ports:
    """Returns the ports of a session of `named_session` or `with_outputs`."""
    return session.ports if isinstance(session, NamedSession) else Ports()


def fixed_length(session: Any) -> int | None:
    """Returns the length of a file that takes only one, from its session; None for any length."""
    length = next((one.shape[-1] for one in session.get_inputs() if one.name == IDS and one.shape), None)
    return length if isinstance(length, int) else None


def declared_sizes(session: Any) -> dict[str, Sizes]:
    """Returns the shapes of a session's outputs as the file declares them, by name; `?` for an unknown size."""
    ids = next((one.shape for one in session.get_inputs() if one.name == IDS), None)
    return {one.name: _sizes(one.shape, ids[-1] if ids else None) for one in session.get_outputs()}


def check_axes(session: Any, task: Task, name: str, *, advice: str) -> None:
    """Raises BundleError where an output has the name of the task's, but another number of axes or of labels.

    Several tasks call their output `logits`. Outputs whose shapes the file does not declare are not compared.
    """
    shapes = {one.name: list(one.shape or ()) for one in session.get_outputs()}
    for output in task.outputs:
        shape = shapes.get(output.name)
        if shape and len(shape) != len(output.axes):
            raise BundleError(
                f"{name} has {output.name} of shape [{', '.join(map(str, shape))}], but {task.name} has the axes "
                f"{', '.join(output.axes)}; {advice}"
            )
        if shape and output.size is not None and isinstance(shape[-1], int) and shape[-1] != output.size:
            raise BundleError(
                f"{name} has {shape[-1]} {output.axes[-1]} in {output.name}, "
                f"but {task.name} has {output.size}; {advice}"
            )


def with_outputs(
    session: Any,
    task: Task,
    *,
    sizes: Mapping[str, Sizes] | None = None,
    chosen: Sequence[str] = (),
    vocab_size: int | None = None,
    by_order: bool = True,
) -> Any:
    """Returns a session whose outputs have a task's names; the session as it is where they are not the task's.

    Args:
        session: A session of `named_session`.
        task: The task.
        sizes: Shapes of the outputs by name; default: as the file declares them.
        chosen: The file's names of the task's outputs, in the task's order; default: by their names, else by order and
            shape.
        vocab_size: Vocabulary size of the model, if known.
        by_order: Whether outputs of the same shape, as an answer's start and end, are distinguished by their order.

    Raises UsageError for `chosen` that are not the task's.
    """
    found = declared_sizes(session) if sizes is None else sizes
    outputs = named_outputs(
        task, found, seq_len=fixed_length(session), vocab_size=vocab_size, chosen=chosen, by_order=by_order
    )
    if outputs is None or all(name == known for name, known in outputs.items()):
        return session
    ports, inner = Ports({one.name: one.name for one in session.get_inputs()}), session
    if isinstance(session, NamedSession):
        ports, inner = session.ports, session.session
    # An output that is not the task's may have the name of one.
    others = {name for name in found if name in outputs.values() and name not in outputs}
    return NamedSession(inner, replace(ports, outputs=outputs, hidden=ports.hidden | others))


class NamedSession:
    """Session with transformers' names of inputs and outputs, for a file that has others.

    It has the methods of `onnxruntime.InferenceSession` that this package uses. Inputs that transformers does not have
    are not listed but filled, and outputs that depend on them are not listed either.
    """

    def __init__(self, session: Any, ports: Ports) -> None:
        self.session, self.ports = session, ports
        self._declared = session.get_inputs()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get_inputs(self) -> list[Port]:
        names = self.ports.inputs
        found = [Port(names[one.name], one.type, one.shape) for one in self._declared if one.name in names]
        return [one for one in found if one.name != POSITION_IDS]

    def get_outputs(self) -> list[Port]:
        names, hidden = self.ports.outputs, self.ports.hidden
        found = [one for one in self.session.get_outputs() if one.name not in hidden]
        return [Port(names.get(one.name, one.name), one.type, one.shape) for one in found]

    def run(self, names: Sequence[str] | None, feed: Feed) -> list[Any]:
        own = {known: name for name, known in self.ports.outputs.items()}
        listed = [one.name for one in self.get_outputs()] if names is None else names
        found: list[Any] = self.session.run(
            [own.get(name, name) for name in listed], self.ports.feed(feed, self._declared)
        )
        return found


@dataclass(frozen=True)
class Port:
    """One input or output: its name, and onnxruntime's type and shape."""

    name: str
    type: str
    shape: Sequence[int | str | None]
