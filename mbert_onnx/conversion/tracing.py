"""Tracing: converts a torch model to an ONNX graph with torch.export, each part once.

MobileBERT repeats one layer. So the model is traced in three parts (the embeddings, one layer, the head), the layer's
graph is appended once for each layer with that layer's weights, and common shape arithmetic is merged
afterwards. The graph is the same as that of tracing the whole model, in a fraction of the time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import torch
from onnx.helper import find_min_ir_version_for, make_opsetid
from onnxscript import optimizer
from torch import Tensor, nn

from graphs.execution.inputs.feeds import example_sizes
from graphs.model.constant_folding import fold_small_constants
from mbert_onnx.bundles.inputs import INPUT_NAMES, Shapes
from mbert_onnx.model import student
from mbert_onnx.model.checkpoint import backbone_of
from mbert_onnx.text.tasks import POOLER_OUTPUT, Task

# The opset that torch's exporter writes; a newer one is a conversion of the finished graph.
TRACE_OPSET = 18

# Equal constants of up to this many numbers (shapes, axes, scalars) are merged; weights are not.
SMALL_CONSTANT = 16

# A head's weight of up to this many numbers is transposed here and not at run time.
LARGEST_FOLDED = 2**22


class Front(nn.Module):
    """The embeddings: ids to the stream and the mask bias, which the layers read."""

    def __init__(
        self, backbone: student.MobileBertModel, ignore_padding: bool = False, repeat_first: bool = False
    ) -> None:
        super().__init__()
        self.embeddings = backbone.embeddings
        self.ignore_padding, self.repeat_first = ignore_padding, repeat_first

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        rows = [ids.flatten(0, -2) for ids in (input_ids, attention_mask, token_type_ids)]
        mask = rows[1] if self.ignore_padding else None
        x = self.embeddings(rows[0], rows[2], mask, repeat_first=self.repeat_first)
        return x, student.padding_bias(rows[1], x.dtype)


class Block(nn.Module):
    """One layer: the stream to the stream."""

    def __init__(self, layer: student.Layer, output_attentions: bool) -> None:
        super().__init__()
        self.layer = layer
        self.output_attentions = output_attentions

    def forward(self, x: Tensor, mask_bias: Tensor) -> tuple[Tensor, ...]:
        batch, seq = mask_bias.shape[0], mask_bias.shape[3]
        torch._check(x.shape[0] == batch * seq)
        y, attention = self.layer(x, mask_bias, batch, seq)
        return (y, attention) if self.output_attentions else (y,)


class Back(nn.Module):
    """The head: the stream after the last layer to the task's outputs; optionally all streams to hidden states."""

    def __init__(self, model: nn.Module, task: Task, output_hidden_states: bool) -> None:
        super().__init__()
        self.pooler = backbone_of(model).pooler
        # Only the head's own modules, without the backbone: every parameter here costs tracing time.
        for name, child in model.named_children():
            if not isinstance(model, student.MobileBertModel) and name != "mobilebert":
                self.add_module(name, child)
        self.config = backbone_of(model).config
        self.model_type = type(model)
        self.task = task
        self.output_hidden_states = output_hidden_states

    def forward(
        self, mask_bias: Tensor, input_ids: Tensor, attention_mask: Tensor, streams: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        batch, seq = mask_bias.shape[0], mask_bias.shape[3]
        for x in streams:
            torch._check(x.shape[0] == batch * seq)
        states = tuple(x.view(batch, seq, x.shape[1]) for x in streams)
        pooled = None if self.pooler is None else self.pooler(states[-1])
        outputs: dict[str, Tensor]
        if issubclass(self.model_type, student.TaskModel):
            # Called on this module, which holds the head's own modules under their names.
            outputs = self.model_type.head(self, streams[-1], pooled, batch, seq)  # type: ignore[arg-type]
        elif issubclass(self.model_type, student.MobileBertForSentenceSimilarity):
            assert isinstance(self.pooling, student.MeanPooling)
            vectors = self.pooling(states[-1], attention_mask)
            outputs = {"last_hidden_state": states[-1], "sentence_embedding": vectors}
        else:
            outputs = {"last_hidden_state": states[-1]} | ({} if pooled is None else {"pooler_output": pooled})
        if self.task.has_choices:
            torch._check(batch == input_ids.shape[0] * input_ids.shape[1])
            outputs["logits"] = outputs["logits"].view(input_ids.shape[:2])
        head = tuple(outputs[name] for name in self.task.output_names if name in outputs)
        return head + (states if self.output_hidden_states else ())


def trace(
    model: nn.Module, task: Task, shapes: Shapes, *, ignore_padding: bool = False, repeat_first: bool = False
) -> ir.Model:
    """Returns the unoptimised ONNX graph of a student, opset 18, with the input and output names of `task`.

    With `ignore_padding` outputs do not depend on padding, and with `repeat_first` nor does the range of any value
    (`student.Embeddings`).

    If the config asks for them, `hidden_states.0` … and `attentions.0` … follow the task's outputs.
    """
    base = backbone_of(model)
    config = base.config
    example = _example_ids(task, shapes, config.max_position_embeddings)
    ids_dims = {axis: DYNAMIC for axis, size in enumerate(_sizes(task, shapes)) if size is None}
    with torch.no_grad():
        x, mask_bias = Front(base)(*example)
    rows_dynamic = any(axis < len(task.input_axes) - 1 for axis in ids_dims)
    seq_dynamic = len(task.input_axes) - 1 in ids_dims
    x_dims = {0: DYNAMIC} if rows_dynamic or seq_dynamic else {}
    mask_dims = ({0: DYNAMIC} if rows_dynamic else {}) | ({3: DYNAMIC} if seq_dynamic else {})

    assembly = _Assembly(model, task, shapes)
    values = [assembly.graph.inputs[index] for index in range(len(INPUT_NAMES))]
    front = _trace_part(Front(base, ignore_padding, repeat_first), example, (ids_dims,) * 3)
    stream, mask = assembly.append(front, values)
    streams, attentions = [stream], []
    traced: dict[int, _Part] = {}  # by number of heads: pruning makes layers differ
    for layer in base.encoder.layer:
        assert isinstance(layer, student.Layer)
        heads = layer.attention.self.heads
        if heads not in traced:
            block = Block(layer, bool(config.output_attentions))
            traced[heads] = _trace_part(block, (x, mask_bias), (x_dims, mask_dims))
        stream, *attention = assembly.append(traced[heads], [stream, mask], Block(layer, False))
        streams.append(stream)
        attentions += attention
    kept = streams if config.output_hidden_states else streams[-1:]
    # Copies: torch.export makes one input of a tensor that is passed several times.
    back_inputs = (mask_bias, example[0], example[1], tuple(x.clone() for _ in kept))
    back = Back(model, task, bool(config.output_hidden_states))
    part = _trace_part(back, back_inputs, (mask_dims, ids_dims, ids_dims, (x_dims,) * len(kept)))
    outputs = assembly.append(part, [mask, values[0], values[1], *kept])
    return assembly.finish(outputs, attentions)


DYNAMIC = torch.export.Dim.DYNAMIC


def _sizes(task: Task, shapes: Shapes) -> list[int | None]:
    by_axis = {"batch": shapes.batch, "choices": shapes.choices, "sequence": shapes.seq_len}
    return [by_axis[axis] for axis in task.input_axes]


def _example_ids(task: Task, shapes: Shapes, positions: int) -> tuple[Tensor, Tensor, Tensor]:
    examples = example_sizes(positions)
    sizes = zip(task.input_axes, _sizes(task, shapes), strict=True)
    shape = [examples[axis] if size is None else size for axis, size in sizes]
    ids = torch.zeros(shape, dtype=torch.int32 if shapes.int32 else torch.int64)
    return ids, torch.ones_like(ids), torch.zeros_like(ids)


@dataclass(frozen=True)
class _Part:
    """A traced part. Its graph's inputs are those of the part's `forward`, then the parameters, by name."""

    graph: ir.Graph
    module: nn.Module
    parameters: list[str]


def _trace_part(module: nn.Module, args: tuple, dynamic_shapes: tuple) -> _Part:
    with _quiet_exporter(), torch.no_grad():
        program = torch.export.export(
            module.eval(),
            args,
            dynamic_shapes=dynamic_shapes,
            # The parts share sizes (tokens = batch * seq); `torch._check` asserts them, and the assembly keeps them.
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        exported = torch.onnx.export(program, dynamo=True, optimize=False, opset_version=TRACE_OPSET, verbose=False)
    assert exported is not None
    graph = exported.model.graph
    parameters = []
    for name, value in list(graph.initializers.items()):
        if _parameter(module, name) is None:
            continue
        # As inputs they are opaque to the optimizer, which would otherwise merge two that are equal in this layer.
        del graph.initializers[name]
        value.const_value = None
        if value.uses():
            graph.inputs.append(value)
            parameters.append(name)
    optimizer.optimize_ir(exported.model)
    common_passes.ClearMetadataAndDocStringPass()(exported.model)
    return _Part(graph, module, parameters)


def _parameter(module: nn.Module, name: str) -> nn.Parameter | None:
    owner, _, leaf = name.rpartition(".")
    try:
        found = getattr(module.get_submodule(owner), leaf, None)
    except AttributeError:
        return None
    return found if isinstance(found, nn.Parameter) else None


class _Assembly:
    """The whole graph, assembled from parts."""

    def __init__(self, model: nn.Module, task: Task, shapes: Shapes) -> None:
        self.task = task
        self.model = model
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.weights: dict[int, ir.Value] = {}
        self.shape = ir.Shape(
            [axis if size is None else size for axis, size in zip(task.input_axes, _sizes(task, shapes), strict=True)]
        )
        dtype = ir.DataType.INT32 if shapes.int32 else ir.DataType.INT64
        inputs = [ir.Value(name=name, shape=self.shape, type=ir.TensorType(dtype)) for name in INPUT_NAMES]
        self.graph = ir.Graph(inputs, [], nodes=[], name="mobilebert", opset_imports={"": TRACE_OPSET})

    def append(self, part: _Part, inputs: Sequence[ir.Value], module: nn.Module | None = None) -> list[ir.Value]:
        """Appends a copy of the part's graph, with the weights of `module`; returns its outputs."""
        copy = part.graph.clone()
        weights = [self._weight(_parameter(module or part.module, name)) for name in part.parameters]
        replacements = [*inputs, *weights]
        assert len(copy.inputs) == len(replacements)
        for formal, actual in zip(copy.inputs, replacements, strict=True):
            ir.convenience.replace_all_uses_with(formal, actual, replace_graph_outputs=True)
        outputs = list(copy.outputs)
        copy.outputs.clear()
        for name, value in list(copy.initializers.items()):
            del copy.initializers[name]
            value.name = f"constant_{len(self.graph.initializers)}"
            self.graph.register_initializer(value)
        nodes = list(copy)
        copy.remove(nodes)
        for node in nodes:
            node.name = None
            for output in node.outputs:
                output.name = None
        self.graph.extend(nodes)
        return outputs

    def _weight(self, parameter: nn.Parameter | None) -> ir.Value:
        assert parameter is not None
        if id(parameter) not in self.weights:
            array = parameter.detach().numpy()
            tensor = ir.tensor(array, name=self.names[id(parameter)])
            value = ir.Value(
                name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            self.graph.register_initializer(value)
            self.weights[id(parameter)] = value
        return self.weights[id(parameter)]

    def finish(self, outputs: Sequence[ir.Value], attentions: Sequence[ir.Value]) -> ir.Model:
        """Names the outputs and closes the graph."""
        pooled = backbone_of(self.model).pooler is not None
        known = [output for output in self.task.outputs if pooled or output.name != POOLER_OUTPUT]
        by_axis = dict(zip(self.task.input_axes, self.shape, strict=True))
        for output, value in zip(known, outputs, strict=False):
            value.name = output.name
            assert value.shape is not None
            value.shape = ir.Shape(
                [by_axis.get(axis, size) for axis, size in zip(output.axes, value.shape, strict=True)]
            )
        rows = by_axis["batch"] if not self.task.has_choices else "rows"
        for index, value in enumerate(outputs[len(known) :]):
            assert value.shape is not None
            value.name, value.shape = f"hidden_states.{index}", ir.Shape([rows, by_axis["sequence"], value.shape[-1]])
        for index, value in enumerate(attentions):
            assert value.shape is not None
            seq = by_axis["sequence"]
            value.name, value.shape = f"attentions.{index}", ir.Shape([rows, value.shape[1], seq, seq])
        self.graph.outputs.extend([*outputs, *attentions])
        model = ir.Model(self.graph, ir_version=find_min_ir_version_for([make_opsetid("", TRACE_OPSET)]))
        # Folds what depends on weights only, which are constants now: the head's transposed weight.
        fold_small_constants(model, LARGEST_FOLDED)
        for clean in (
            common_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common_passes.DeduplicateInitializersPass(size_limit=SMALL_CONSTANT),
            common_passes.CommonSubexpressionEliminationPass(),
            common_passes.RemoveUnusedNodesPass(),
            common_passes.NameFixPass(),
        ):
            clean(model)
        return model


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silences the exporter's report on standard output, and its warnings, which are about its own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
