"""Census of a graph: nodes, parameters, multiply-accumulates, memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphs.errors import GraphError, one_line
from graphs.functions import DOMAIN
from graphs.functions.answers.label_names import read_names
from graphs.functions.text_file.detach import TOKENIZE, is_text_model, without_text
from graphs.functions.text_file.ports import read_record
from graphs.model.costs import macs, peak_bytes, sized
from graphs.model.external_data import external_bytes
from graphs.model.loading import read_model


@dataclass(frozen=True)
class Port:
    """Input or output of a graph; a dimension is a number, or the name of a dynamic one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class TextPart:
    """The part of a text file around the model.

    Args:
        task: The task.
        operator: The operator that tokenizes: `Tokenize`, or one of its forms for pairs and windows.
        optional: Inputs that have a default.
        limit: The most tokens in a row.
        max_length: The value of the input of that name where there is no reason for another one.
        columns: The length that rows are padded to; 0 where they are as long as the longest.
        labels: Number of names of labels.
        table_bytes: The size of the tokenizer's tables.
    """

    task: str
    operator: str
    optional: list[str]
    limit: int
    max_length: int
    columns: int
    labels: int
    table_bytes: int


@dataclass(frozen=True)
class Census:
    """Census of one graph. Of a text file, it is that of the model inside, but for its inputs and outputs.

    Args:
        parameters: The number of elements of all initializers; a shared one counts once.
        weight_bytes: The size of all initializers in bytes.
        nodes: The number of nodes of each type, the most frequent first, without the nodes within functions.
        macs: Multiply-accumulates of all matrix products at `batch` 1 and `seq_len` tokens; None if some shape could
            not be inferred.
        activation_bytes: The most bytes of live tensors, in the order of the nodes; None if some shape could not be
            inferred. A runtime's allocation differs by its reuse of memory and its workspaces.
        text: The part of a text file around the model; None for another file.
    """

    file_bytes: int
    opset: int
    ir_version: int
    producer: str
    inputs: list[Port]
    outputs: list[Port]
    parameters: int
    weight_bytes: int
    nodes: dict[str, int]
    seq_len: int
    macs: int | None
    activation_bytes: int | None
    text: TextPart | None = None

    @property
    def node_count(self) -> int:
        return sum(self.nodes.values())

    @property
    def macs_per_token(self) -> float | None:
        return None if self.macs is None else self.macs / self.seq_len

    def as_dict(self) -> dict[str, Any]:
        found = {**asdict(self), "node_count": self.node_count, "macs_per_token": self.macs_per_token}
        if self.text is None:
            del found["text"]
        return found


def take_census(path: Path, seq_len: int = 128) -> Census:
    """Takes the census of a file's graph; a dynamic length is taken as `seq_len` tokens.

    Raises GraphError for a file that cannot be read.
    """
    model = read_model(path, values=False)
    external, graph = external_bytes(model), model.graph
    inputs, outputs = [_port(v) for v in graph.inputs if not v.is_initializer()], [_port(v) for v in graph.outputs]
    found = (model.opset_imports.get("", 0), model.ir_version)
    text = None
    if is_text_model(model):
        try:
            text = _text_part(model)
            model = without_text(model)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GraphError(
                f"{path} is a text file with a damaged record ({one_line(error)}); export it again with --text"
            ) from error
        graph = model.graph
    tensors = [v.const_value for v in graph.initializers.values() if v.const_value is not None]
    nodes = Counter(f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in graph)
    ids = [port for port in map(_port, graph.inputs[:1]) if port.dtype.startswith("int")]
    fixed = [size for port in ids for size in (port.shape or ())[-1:] if isinstance(size, int)]
    length = fixed[0] if fixed else seq_len
    parameters, weight_bytes = sum(t.size for t in tensors), sum(t.nbytes for t in tensors)
    try:
        shapes = sized(model, length)
        found_macs, found_bytes = macs(shapes), peak_bytes(shapes)
    except Exception:  # onnx's inference and inlining refuse graphs in many ways: a negative size, a recursive function
        found_macs = found_bytes = None
    return Census(
        file_bytes=path.stat().st_size + external,
        opset=found[0],
        ir_version=found[1],
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        weight_bytes=weight_bytes,
        nodes=dict(nodes.most_common()),
        seq_len=length,
        macs=found_macs,
        activation_bytes=found_bytes,
        text=text,
    )


def _text_part(model: ir.Model) -> TextPart:
    record = read_record(model) or {}
    node = next(node for node in model.graph if node.op_type.startswith(TOKENIZE) and node.domain == DOMAIN)
    tables = [value.const_value for value in node.inputs if value is not None and not value.is_graph_input()]
    columns = node.attributes.get("columns")
    return TextPart(
        task=model.metadata_props.get("task", ""),
        operator=node.op_type,
        optional=[value.name or "" for value in model.graph.inputs if value.is_initializer()],
        limit=int(record.get("limit", 0)),
        max_length=int(record.get("max_length", 0)),
        columns=0 if columns is None else columns.as_int(),
        labels=len(read_names(model.metadata_props) or ()),
        table_bytes=sum(tensor.nbytes for tensor in tables if tensor is not None),
    )


def _port(value: ir.Value) -> Port:
    shape = (
        None if value.shape is None else tuple(s if isinstance(s, int) else str(s.value or "?") for s in value.shape)
    )
    return Port(value.name or "", "?" if value.dtype is None else value.dtype.name.lower(), shape)
