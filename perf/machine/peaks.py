"""What a machine can do at most: multiply-accumulates of matrix products, and bytes read from memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import psutil

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers.plugin import LOG_ERRORS_ONLY

FLOAT32, INT8 = "float32", "int8"

SIDE = 1024
"""Of the square matrices: 4 MiB each, large enough that nothing but their product takes time worth mentioning."""

FORMS = {
    ("", "MatMul"): FLOAT32,
    ("", "MatMulInteger"): INT8,
    ("com.microsoft", "DynamicQuantizeMatMul"): INT8,
    ("com.microsoft", "QGemm"): INT8,
}
"""Domain and operator of a product, and its precision: onnxruntime has several ways to int8, each its own kernels."""

SECONDS = 0.4
"""Each form is run for so long, and the memory read."""

FEWEST = 3
"""Runs of each, however long they take."""

MIB = 2**20
LEAST_BYTES = 256 * MIB
"""What is read to measure memory, unless a cache is so large that twice as much is needed to get past it."""

MEMORY_SHARE = 1 / 8
"""But no more than this share of the memory."""


@dataclass(frozen=True)
class Peaks:
    """With so many threads: 10^9 multiply-accumulates a second for each precision, and 10^9 bytes read a second."""

    threads: int
    gmacs: dict[str, float]
    bandwidth_gb_s: float


def peaks(threads: int) -> Peaks:
    """Measures them, in about two seconds: the best run of each counts, since other programs can only make it slower.

    A product is onnxruntime's, of two 1024 × 1024 matrices, one of them constant as weights are; for int8 the fastest
    of its operators counts. Bandwidth is that of reading: the bytes of an array larger than the caches over the time
    in which so many threads find its largest value, each in a part of its own. Nothing is written, so no byte counts
    twice.

    Raises:
        PerfUsageError: threads below 1.
        PerfError: onnxruntime runs no product of a precision.
    """
    if threads < 1:
        raise PerfUsageError(f"--threads is {threads}; expected a whole number from 1 on")
    gmacs: dict[str, float] = {}
    refused = ""
    for (domain, operator), precision in FORMS.items():
        try:
            seconds = _best(_product(domain, operator, threads))
        except Exception as error:  # onnxruntime raises one class per status code; a build may lack an operator
            refused = one_line(error)
            continue
        gmacs[precision] = max(gmacs.get(precision, 0.0), SIDE**3 / seconds / 1e9)
    missing = {*FORMS.values()} - gmacs.keys()
    if missing:
        raise PerfError(
            f"onnxruntime {ort.__version__} runs no matrix product in {', '.join(sorted(missing))} here ({refused}); "
            "expected one for the roofline: leave it out"
        )
    return Peaks(threads, gmacs, _bandwidth(threads))


def _product(domain: str, operator: str, threads: int) -> Callable[[], object]:
    """A run of one product. The activations are all ones, as no kernel's time depends on values."""
    model, activations = product_model(domain, operator)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = LOG_ERRORS_ONLY
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": activations})


def product_model(domain: str, operator: str) -> tuple[ir.Model, np.ndarray]:
    """One product with constant weights, [1024, 1024], and activations for it of the same shape."""
    scale, zero, signed_zero = np.float32(1), np.uint8(0), np.int8(0)
    float_weights, weights = np.ones((SIDE, SIDE), np.float32), np.ones((SIDE, SIDE), np.int8)
    forms: dict[str, tuple[list[Any], type[np.generic], type[np.generic]]] = {
        "MatMul": ([float_weights], np.float32, np.float32),
        "MatMulInteger": ([weights], np.uint8, np.int32),
        "DynamicQuantizeMatMul": ([weights, scale], np.float32, np.float32),
        "QGemm": ([scale, zero, weights, scale, signed_zero], np.uint8, np.float32),
    }
    constants, kind, result = forms[operator]
    x = ir.val("x", ir.DataType.from_numpy(np.dtype(kind)), (SIDE, SIDE))
    values = [ir.val(f"c{n}", const_value=ir.tensor(np.asarray(value))) for n, value in enumerate(constants)]
    y = ir.val("y", ir.DataType.from_numpy(np.dtype(result)), (SIDE, SIDE))
    node = ir.Node(domain, operator, [x, *values], outputs=[y])
    opsets = {"": 18, "com.microsoft": 1}
    graph = ir.Graph([x], [y], nodes=[node], initializers=values, opset_imports=opsets, name="product")
    return ir.Model(graph, ir_version=8), np.ones((SIDE, SIDE), kind)


def _bandwidth(threads: int) -> float:
    """10^9 bytes a second, read by so many threads; numpy lets others run while it reads."""
    size = min(max(LEAST_BYTES, 2 * _largest_cache()), int(psutil.virtual_memory().total * MEMORY_SHARE))
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best(lambda: list(pool.map(np.max, parts)))
    return sum(part.nbytes for part in parts) / seconds / 1e9


def _largest_cache() -> int:
    """Bytes of the largest cache, as Linux tells; 0 elsewhere."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(path.read_text().strip().removesuffix("K")) * 1024 for path in sizes), default=0)


def _best(run: Callable[[], object], clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """Seconds of the fastest run after a first one."""
    run()
    times: list[int] = []
    start = clock()
    while len(times) < FEWEST or clock() - start < SECONDS * 1e9:
        before = clock()
        run()
        times.append(clock() - before)
    return min(times) / 1e9
