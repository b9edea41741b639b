"""Opsets: the range that is possible here, and the conversion of a graph to one."""

from __future__ import annotations

import functools

import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper
from onnx import version_converter as onnx_converter
from onnxscript import version_converter as onnxscript_converter

from graphs.errors import GraphError, one_line
from graphs.model.quiet import quiet, quiet_options
from graphs.model.shape_inference import infer_sizes

OLDEST_OPSET = 18

# The oldest opset that is read and raised. onnx's converter knows older ones, which no exporter has written since 2019.
OLDEST_READ = 11

# The newest opset of onnxscript's converter, which works on the IR and keeps names; beyond it onnx's own is used.
ONNXSCRIPT_NEWEST = 25


@functools.cache
def newest_opset() -> int:
    """Returns the newest opset that the installed onnx defines and the installed onnxruntime loads."""
    for opset in range(onnx.defs.onnx_opset_version(), OLDEST_OPSET, -1):
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "probe", value[:1], value[1:])
        imports = [helper.make_opsetid("", opset)]
        ir_version = helper.find_min_ir_version_for(imports)
        probe = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
        try:
            onnxruntime.InferenceSession(probe.SerializeToString(), quiet_options(), providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime's errors have no common class; each means that it does not load this opset
            continue
        return opset
    return OLDEST_OPSET


def check_opset(opset: int) -> None:
    """Raises GraphError for an opset older than `OLDEST_OPSET`, or newer than the installed packages support."""
    if not OLDEST_OPSET <= opset <= newest_opset():
        raise GraphError(
            f"opset {opset} is not possible: graphs here start at {OLDEST_OPSET}, and the installed onnx and "
            f"onnxruntime go up to {newest_opset()}; ask for one of these"
        )


def convert(model: ir.Model, opset: int) -> ir.Model:
    """Converts a model to a newer opset, with the oldest IR version that holds it.

    Raises GraphError if the opset is not possible, or older than the model's.
    """
    check_opset(opset)
    current = model.opset_imports.get("", 0)
    if opset < current:
        raise GraphError(f"the graph is opset {current} and cannot go down to {opset}; ask for {current} or more")
    if opset > current:
        onnxscript_converter.convert_version(model, min(opset, ONNXSCRIPT_NEWEST))
    if opset > ONNXSCRIPT_NEWEST:
        model = ir.from_proto(onnx_converter.convert_version(ir.to_proto(model), opset))
    model.ir_version = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    return model


def raise_opset(model: ir.Model) -> None:
    """Raises a model of opset 11 to 17 to 18; a newer one is not modified.

    Raises GraphError if it is older, or cannot be converted.
    """
    current = model.opset_imports.get("", 0)
    if current >= OLDEST_OPSET or not model.graph.num_nodes():
        return
    if current < OLDEST_READ:
        raise GraphError(f"the graph is opset {current}; expected {OLDEST_READ} or newer: export it again")
    infer_sizes(model)  # the converter writes fewer nodes where it knows that an axis is the last
    try:
        with quiet("onnxscript.version_converter"):
            onnxscript_converter.convert_version(model, OLDEST_OPSET, fallback=True)
    except Exception as error:  # onnx's errors have no common class
        raise GraphError(f"opset {current} cannot be raised to {OLDEST_OPSET}: {one_line(error)}") from error
    if model.opset_imports.get("", 0) != OLDEST_OPSET:
        raise GraphError(f"opset {current} cannot be raised to {OLDEST_OPSET}; export it again, with that opset")
    model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([helper.make_opsetid("", OLDEST_OPSET)]))
