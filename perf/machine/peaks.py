"""Peak throughput of a machine: multiply-accumulates of matrix products, and bytes read from memory."""

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

FLOAT32, FLOAT16, INT8 = "float32", "fp16", "int8"

SIDE = 1024
"""Side of the square matrices: 4 MiB each, large enough that the overhead of a run is negligible."""

FORMS = (
    ("", "MatMul", FLOAT32),
    ("", "MatMul", FLOAT16),
    ("", "MatMulInteger", INT8),
    ("com.microsoft", "DynamicQuantizeMatMul", INT8),
    ("com.microsoft", "QGemm", INT8),
)
"""Domain, operator and precision of matrix products: onnxruntime has several for int8, each with its own kernels."""

MEMORY, ARITHMETIC = "memory", "arithmetic"
"""Limiting resources of a model in the roofline."""

SECONDS = 0.4
"""Duration of the measurement of each operator, and of the memory."""

FEWEST = 3
"""Fewest runs of each, however long they take."""

MIB = 2**20
LEAST_BYTES = 256 * MIB
"""Bytes read to measure memory; twice the largest cache, if that is more."""

MEMORY_SHARE = 1 / 8
"""Largest share of the memory that is read."""


@dataclass(frozen=True)
class Peaks:
    """Peaks with a number of threads: 10^9 multiply-accumulates/s by precision, and 10^9 bytes/s read."""

    threads: int
    gmacs: dict[str, float]
    bandwidth_gb_s: float

    def roof(self, precision: str, intensity: float) -> tuple[float, str] | None:
        """Returns the most 10^9 multiply-accumulates/s at an intensity, and what limits them: MEMORY or ARITHMETIC.

        Args:
            precision: The type of the products. fp16 without a peak of its own has that of float32, in which
                processors without half precision compute it.
            intensity: Multiply-accumulates per byte.

        Returns None for a precision without a peak.
        """
        peak = self.gmacs.get(precision, self.gmacs.get(FLOAT32) if precision == FLOAT16 else None)
        if peak is None:
            return None
        slope = self.bandwidth_gb_s * intensity
        return (peak, ARITHMETIC) if slope > peak else (slope, MEMORY)

    def best_of(self, other: Peaks) -> Peaks:
        """Returns the larger peaks of two measurements with the same number of threads."""
        gmacs = {name: max(self.gmacs.get(name, 0.0), other.gmacs.get(name, 0.0)) for name in self.gmacs | other.gmacs}
        return Peaks(self.threads, gmacs, max(self.bandwidth_gb_s, other.bandwidth_gb_s))


def peaks(threads: int) -> Peaks:
    """Measures the peaks, in about two seconds. The fastest run counts, since other programs can only slow one down.

    The products are onnxruntime's, of two 1024 × 1024 matrices, one of them constant like weights; for int8 the fastest
    operator counts. Bandwidth is that of reading: bytes of an array larger than the caches, divided by the time in
    which the threads find its maximum, each in its own part. Nothing is written, so no byte counts twice.

    Raises:
        PerfUsageError: `threads` is below 1.
        PerfError: onnxruntime runs no product in float32 or int8.
    """
    if threads < 1:
        raise PerfUsageError(f"--threads is {threads}; expected a whole number from 1 on")
    gmacs: dict[str, float] = {}
    refused = ""
    for domain, operator, precision in FORMS:
        try:
            seconds = _best(_product(domain, operator, precision, threads))
        except Exception as error:  # onnxruntime raises one class per status code; a build may lack an operator
            refused = one_line(error)
            continue
        gmacs[precision] = max(gmacs.get(precision, 0.0), SIDE**3 / seconds / 1e9)
    missing = {FLOAT32, INT8} - gmacs.keys()
    if missing:
        raise PerfError(
            f"onnxruntime {ort.__version__} runs no matrix product in {', '.join(sorted(missing))} here ({refused}); "
            "expected one for the roofline: leave it out"
        )
    return Peaks(threads, gmacs, _bandwidth(threads))


def _product(domain: str, operator: str, precision: str, threads: int) -> Callable[[], object]:
    """Returns a function that runs one product. All activations are 1: a kernel's time does not depend on values."""
    model, activations = product_model(domain, operator, precision)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = LOG_ERRORS_ONLY
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": activations})


def product_model(domain: str, operator: str, precision: str) -> tuple[ir.Model, np.ndarray]:
    """Builds one product with constant weights [1024, 1024], and activations of the same shape."""
    scale, zero, signed_zero = np.float32(1), np.uint8(0), np.int8(0)
    floats: type[np.generic] = np.float16 if precision == FLOAT16 else np.float32
    float_weights, weights = np.ones((SIDE, SIDE), floats), np.ones((SIDE, SIDE), np.int8)
    forms: dict[str, tuple[list[Any], type[np.generic], type[np.generic]]] = {
        "MatMul": ([float_weights], floats, floats),
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
    """Measures 10^9 bytes/s read by `threads` threads; numpy releases the GIL while it reads."""
    size = min(max(LEAST_BYTES, 2 * _largest_cache()), int(psutil.virtual_memory().total * MEMORY_SHARE))
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best(lambda: list(pool.map(np.max, parts)))
    return sum(part.nbytes for part in parts) / seconds / 1e9


def _largest_cache() -> int:
    """Returns the bytes of the largest cache on Linux; 0 elsewhere."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(path.read_text().strip().removesuffix("K")) * 1024 for path in sizes), default=0)


def _best(run: Callable[[], object], clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """Returns the seconds of the fastest run, after one warm-up run."""
    run()
    times: list[int] = []
    start = clock()
    while len(times) < FEWEST or clock() - start < SECONDS * 1e9:
        before = clock()
        run()
        times.append(clock() - before)
    return min(times) / 1e9
