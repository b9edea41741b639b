"""MobileBERT in production: a PyTorch checkpoint becomes a verified, fast `.onnx`, and runs anywhere.

The public API is this module. Each name is loaded when it is first used, so that importing costs nothing::

    from mbert_onnx import bench, doctor, export, inspect, kernels, load, optimize, run, verify
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = {
    "BundleError": "errors",
    "CalibrationError": "calibration_text",
    "CheckpointError": "errors",
    "MbertError": "errors",
    "PrecisionError": "errors",
    "UsageError": "errors",
    "VerificationError": "errors",
    "bench": "benchmark",
    "bench_emulated": "emulated",
    "bench_texts": "text_benchmark",
    "compare": "results",
    "doctor": "diagnosis",
    "doctor_provider": "forecasting",
    "export": "exporter",
    "inspect": "inspection",
    "kernels": "native",
    "load": "runtime",
    "optimize": "optimizer",
    "passes": "optimizer",
    "providers": "provider_table",
    "read_report": "results",
    "run": "runtime",
    "verify": "verifier",
    "write_html": "results",
    "write_plot": "results",
}

__all__ = [
    "BundleError",
    "CalibrationError",
    "CheckpointError",
    "MbertError",
    "PrecisionError",
    "UsageError",
    "VerificationError",
    "__version__",
    "bench",
    "bench_emulated",
    "bench_texts",
    "compare",
    "doctor",
    "doctor_provider",
    "export",
    "inspect",
    "kernels",
    "load",
    "optimize",
    "passes",
    "providers",
    "read_report",
    "run",
    "verify",
    "write_html",
    "write_plot",
]

if TYPE_CHECKING:
    from mbert_onnx.benchmark import bench
    from mbert_onnx.calibration_text import CalibrationError
    from mbert_onnx.diagnosis import doctor
    from mbert_onnx.emulated import bench_emulated
    from mbert_onnx.errors import (
        BundleError,
        CheckpointError,
        MbertError,
        PrecisionError,
        UsageError,
        VerificationError,
    )
    from mbert_onnx.exporter import export
    from mbert_onnx.forecasting import doctor_provider
    from mbert_onnx.inspection import inspect
    from mbert_onnx.native import kernels
    from mbert_onnx.optimizer import optimize, passes
    from mbert_onnx.provider_table import providers
    from mbert_onnx.results import compare, read_report, write_html, write_plot
    from mbert_onnx.runtime import load, run
    from mbert_onnx.text_benchmark import bench_texts
    from mbert_onnx.verifier import verify


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
