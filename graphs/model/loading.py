"""Reader of any `.onnx` file, with errors in one line."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx_ir as ir

from graphs.errors import GraphError, one_line
from graphs.model.external_data import FileState, check_numbers, external_bytes, load_external_data, tensors_in
from graphs.model.quiet import quiet

# Bytes of a damaged name that a message shows.
SHOWN_BYTES = 60

# Bytes that are looked at.
READ_BYTES = 512

# First bytes of files of other kinds: the kind, and what to do.
_OTHER_KINDS = {
    b"version https://git-lfs": ("a git-lfs pointer and not the model", "fetch it with git lfs pull"),
    b"PK\x03\x04": ("a zip archive, as torch.save and zip write it", "give an .onnx file, or unpack the archive"),
    b"\x1f\x8b": ("gzipped", "unpack it, and give the .onnx file"),
    b"<": ("HTML or XML", "download the .onnx file itself"),
    b"{": ("JSON", "give an .onnx file, or the folder of a bundle"),
    b"[": ("JSON", "give an .onnx file, or the folder of a bundle"),
}


def read_model(path: Path, *, values: bool = True) -> ir.Model:
    """Reads the model in a file, with its external weights.

    Args:
        path: The file.
        values: Whether all external weights are read. If not, those of more than 1 KiB are checked, and keep only
            their type and shape, for commands that need no more.

    Raises GraphError, in one line, for a file that does not exist, is not an ONNX model, or changes while it is read;
    or whose weights are missing, incomplete, or outside of its folder.
    """
    if not path.is_file():
        raise GraphError(f"{path}: no such file; expected an .onnx model")
    try:
        state = FileState.of(path.stat())
        with quiet("onnx_ir"):
            model = ir.load(path)
    except OSError as error:
        raise GraphError(f"{path} cannot be read ({error.strerror or error}); correct its permissions") from error
    except MemoryError:
        raise  # the file may be fine
    except Exception as error:  # protobuf's and onnx_ir's errors have no common class
        check_numbers(path)
        reason = one_line(_first_cause(error))
        raise GraphError(not_a_model(path, reason)) from error
    if not model.graph.num_nodes() and not model.graph.outputs:
        raise GraphError(f"{path} holds no graph; it is empty, truncated, or not an ONNX model: export it again")
    for nodes in (model.graph, *model.functions.values()):
        _check_subgraphs(nodes, path)
    _check_text(model, path)
    _check_order(model.graph, path)
    _check_functions(model, path)
    _check_tensors(model, path)
    _check_nodes(model, path)
    _free_negative_sizes(model.graph)
    load_external_data(model, path, values=values)
    # The graph of one export with the weights of another would be a third model.
    if not path.is_file() or FileState.of(path.stat()) != state:
        raise GraphError(
            f"{path} is being written: it changed while it was read; run the command again when it is complete"
        )
    return model


def in_one_file(path: Path, folder: Path) -> Path:
    """Returns a model file, or, if its weights are in other files, a copy of it in `folder` with its weights inside.

    Libraries other than onnxruntime refuse weights that are links, as in a cache of the Hugging Face hub.

    Raises GraphError for a file that cannot be read.
    """
    if not external_bytes(read_model(path, values=False)):
        return path
    copy = folder / path.name
    ir.save(read_model(path), copy)
    return copy


def known_content(path: Path) -> str | None:
    """Returns the line for a file of another kind, such as JSON; None for any other, which may be a damaged model."""
    try:
        with path.open("rb") as file:
            head = file.read(READ_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return None
    for start, (kind, advice) in _OTHER_KINDS.items():
        if head.startswith(start):
            return f"{path} is not an ONNX model; it is {kind}: {advice}"
    return None


def not_a_model(path: Path, reason: str) -> str:
    """Returns the line for a file that a parser refused for `reason`, with the advice for its kind."""
    if (known := known_content(path)) is not None:
        return known
    if path.suffix != ".onnx":
        return f"{path} is not an ONNX model ({reason}); give an .onnx file, or the folder of a bundle"
    return f"{path} is not an ONNX model, or is corrupt ({reason}); export it again"


def _first_cause(error: BaseException) -> BaseException:
    """Returns the first error of a chain: those that onnx_ir raises because of it name only its own functions."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _check_subgraphs(nodes: Iterable[ir.Node], path: Path) -> None:
    """Raises GraphError for a subgraph that a function takes from its caller; onnx_ir cannot iterate over it."""
    for node in nodes:
        for attribute in node.attributes.values():
            if attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
                continue
            if attribute.value is None:
                raise GraphError(
                    f"{path}: the {node.op_type} in a function has no subgraph {attribute.name} of its own; expected "
                    "one: export it again"
                )
            for graph in attribute.value if attribute.type == ir.AttributeType.GRAPHS else [attribute.value]:
                _check_subgraphs(graph, path)


def _check_text(model: ir.Model, path: Path) -> None:
    """Raises GraphError for a name that is not UTF-8, which protobuf returns as bytes, as no code expects."""
    wrong = next((text for text in _texts(model) if isinstance(text, bytes)), None)
    if wrong is not None:
        found = "".join(c if c.isprintable() else "?" for c in wrong[:SHOWN_BYTES].decode(errors="replace"))
        raise GraphError(f"{path}: the name {found} is not valid UTF-8; the file is damaged: export it again")


def _texts(model: ir.Model) -> Iterator[object]:
    """Yields the names of a model's parts."""
    yield from (model.producer_name, model.producer_version, model.domain, *model.opset_imports)
    yield from itertools.chain.from_iterable(model.metadata_props.items())
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        yield from (value.name for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()))
        for value in (*graph.inputs, *graph.outputs):
            yield from (size.value for size in value.shape or () if isinstance(size, ir.SymbolicDim))
        for node in ir.traversal.RecursiveGraphIterator(graph):
            yield from (node.name, node.op_type, node.domain, node.overload, *node.attributes)
            yield from (value.name for value in (*node.inputs, *node.outputs) if value is not None)


def _check_order(graph: ir.Graph, path: Path) -> None:
    """Sorts the nodes where one stands before those that it reads, as onnxruntime does; raises GraphError for a cycle.

    onnxruntime's converter to float16 leaves such an order around nodes that stay float32.
    """
    seen: set[ir.Node] = set()
    for node in graph:
        for value in node.inputs:
            producer = None if value is None else value.producer()
            if producer is not None and producer.graph is graph and producer not in seen:
                try:
                    graph.sort()
                except ValueError as error:
                    raise GraphError(
                        f"{path}: {node.op_type} reads {value.name if value else '?'}, which is computed from its own "
                        "result; the graph is cyclic: export it again"
                    ) from error
                return
        seen.add(node)


def _check_functions(model: ir.Model, path: Path) -> None:
    """Raises GraphError for a function that calls itself, through others or not, or reads what nothing computes."""
    calls = {
        name: {node.op_identifier() for node in ir.traversal.RecursiveGraphIterator(function.graph)}
        for name, function in model.functions.items()
    }
    try:
        TopologicalSorter({name: called & calls.keys() for name, called in calls.items()}).prepare()
    except CycleError as error:
        domain, name, _ = error.args[1][0]
        raise GraphError(
            f"{path}: the function {domain}.{name} calls itself; no runtime could run it: export it again"
        ) from None
    for (domain, name, _), function in model.functions.items():
        for node in ir.traversal.RecursiveGraphIterator(function.graph):
            for value in node.inputs:
                if value is not None and not _is_computed(value):
                    raise GraphError(
                        f"{path}: nothing computes {value.name} in the function {domain}.{name}; the graph is "
                        "incomplete: export it again"
                    )


def _check_nodes(model: ir.Model, path: Path) -> None:
    """Raises GraphError for nodes that end the process of onnx and onnxruntime, or that onnx_ir does not read."""
    for part in (model.graph, *(function.graph for function in model.functions.values())):
        for node in ir.traversal.RecursiveGraphIterator(part):
            if node.domain == "" and node.op_type == "Split":
                _check_split(node, path)
            elif node.domain == "" and node.op_type == "Constant" and "sparse_value" not in node.attributes:
                _check_constant(node, path)


def _check_split(node: ir.Node, path: Path) -> None:
    """Raises GraphError for undeclared outputs: an assertion in onnx's shape inference would end the process."""
    declared = node.attributes.get("num_outputs")
    if declared is not None and declared.value not in (None, len(node.outputs)):
        raise GraphError(
            f"{path}: the Split {node.name} has {len(node.outputs)} outputs and num_outputs {declared.value}; the "
            "graph is damaged: export it again"
        )


def _check_constant(node: ir.Node, path: Path) -> None:
    try:
        ir.convenience.get_const_tensor(node.outputs[0])
    except Exception as error:  # onnx_ir's errors have no common class
        raise GraphError(
            f"{path}: the Constant {node.name} has no value ({one_line(error)}); the graph is damaged: export it again"
        ) from error


def _is_computed(value: ir.Value) -> bool:
    return value.producer() is not None or value.is_graph_input() or value.is_initializer()


def _check_tensors(model: ir.Model, path: Path) -> None:
    """Raises GraphError for a tensor in the file without a type, or whose data are not those of its shape."""
    for tensor, _ in tensors_in(model):
        if isinstance(tensor, ir.ExternalTensor):
            continue  # its file says how many bytes there are
        try:
            found = tensor.numpy().shape
        except Exception as error:  # numpy's and onnx_ir's errors have no common class
            raise GraphError(
                f"{path}: the data of the tensor {tensor.name} are not those of its type and shape "
                f"({one_line(error)}); the file is damaged: export it again"
            ) from error
        if found != tuple(tensor.shape):  # a negative size, which numpy takes as an unknown one
            raise GraphError(
                f"{path}: the tensor {tensor.name} has the shape {tensor.shape}, and its data {list(found)}; "
                "the file is damaged: export it again"
            )


def _free_negative_sizes(graph: ir.Graph) -> None:
    """Makes sizes below 0 unknown, as onnxruntime takes them; some converters write -1 for a dynamic size."""
    for value in (*graph.inputs, *graph.outputs, *(output for node in graph for output in node.outputs)):
        if value.shape is not None and any(isinstance(size, int) and size < 0 for size in value.shape):
            value.shape = ir.Shape([None if isinstance(size, int) and size < 0 else size for size in value.shape])
