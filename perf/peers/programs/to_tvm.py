"""Compiles an ONNX file to a library of TVM, in TVM's own environment, without the rest of this package.

to_tvm.py SOURCE TO.so

Writes TO.so, and TO.json with the inputs, the outputs in order, and the kernels that a run calls.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

LEVEL = 3
"""Optimization level: all of TVM's passes."""

NUMBERED = re.compile(r"\d+$")
"""The number at the end of a kernel's name, which distinguishes kernels of one kind."""


def main(arguments: list[str]) -> None:
    """Compiles. Exits with the last line of TVM's reason where it fails."""
    import numpy as np
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    source, to = map(Path, arguments)
    model = onnx.load(source)
    host = tvm.get_global_func("target.llvm_get_system_cpu")()
    kernels: Counter[str] = Counter()

    def count(mod: Any) -> None:
        def visit(node: Any) -> None:
            if isinstance(node, relax.Call) and isinstance(node.op, tvm.ir.Op) and node.op.name == "relax.call_tir":
                kernels[NUMBERED.sub("", node.args[0].name_hint)] += 1

        relax.analysis.post_order_visit(mod["main"], visit)

    with tvm.transform.PassContext(opt_level=LEVEL):
        imported = from_onnx(model, keep_params_in_input=False)
        fused = tvm.transform.Sequential(
            [
                relax.transform.LegalizeOps(),
                relax.transform.AnnotateTIROpPattern(),
                relax.transform.FoldConstant(),
                relax.transform.FuseOps(),
                relax.transform.FuseTIR(),
            ]
        )(imported)
        count(fused)
        tvm.compile(fused, target=tvm.target.Target({"kind": "llvm", "mcpu": host})).export_library(str(to))

    inputs = []
    for value in model.graph.input:
        tensor = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
        inputs.append({"name": value.name, "type": dtype, "shape": [dim.dim_value for dim in tensor.shape.dim]})
    outputs = [value.name for value in model.graph.output]
    to.with_suffix(".json").write_text(json.dumps({"inputs": inputs, "outputs": outputs, "kernels": dict(kernels)}))


if __name__ == "__main__":
    main(sys.argv[1:])
