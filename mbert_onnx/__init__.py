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
    "Columns": "data.own",
    "DataError": "errors",
    "MbertError": "errors",
    "PrecisionError": "errors",
    "TrainingError": "errors",
    "UsageError": "errors",
    "VerificationError": "errors",
    "bench": "benchmark",
    "bench_emulated": "emulated",
    "bench_texts": "text_benchmark",
    "compare": "results",
    "doctor": "diagnosis",
    "doctor_provider": "forecasting",
    "evaluate": "evaluator",
    "export": "exporter",
    "finetune": "training.finetuning",
    "inspect": "inspection",
    "kernels": "native",
    "load": "runtime",
    "optimize": "optimizer",
    "passes": "optimizer",
    "pretrain": "training.pretraining",
    "providers": "provider_table",
    "read_report": "results",
    "run": "runtime",
    "schedule": "training.transferring",
    "submit": "training.validation",
    "transfer": "training.transferring",
    "validate": "training.validation",
    "verify": "verifier",
    "write_html": "results",
    "write_plot": "results",
}

__all__ = [
    "BundleError",
    "CalibrationError",
    "CheckpointError",
    "Columns",
    "DataError",
    "MbertError",
    "PrecisionError",
    "TrainingError",
    "UsageError",
    "VerificationError",
    "__version__",
    "bench",
    "bench_emulated",
    "bench_texts",
    "compare",
    "doctor",
    "doctor_provider",
    "evaluate",
    "export",
    "finetune",
    "inspect",
    "kernels",
    "load",
    "optimize",
    "passes",
    "pretrain",
    "providers",
    "read_report",
    "run",
    "schedule",
    "submit",
    "transfer",
    "validate",
    "verify",
    "write_html",
    "write_plot",
]

if TYPE_CHECKING:
    from mbert_onnx.benchmark import bench
    from mbert_onnx.calibration_text import CalibrationError
    from mbert_onnx.data.own import Columns
    from mbert_onnx.diagnosis import doctor
    from mbert_onnx.emulated import bench_emulated
    from mbert_onnx.errors import (
        BundleError,
        CheckpointError,
        DataError,
        MbertError,
        PrecisionError,
        TrainingError,
        UsageError,
        VerificationError,
    )
    from mbert_onnx.evaluator import evaluate
    from mbert_onnx.exporter import export
    from mbert_onnx.forecasting import doctor_provider
    from mbert_onnx.inspection import inspect
    from mbert_onnx.native import kernels
    from mbert_onnx.optimizer import optimize, passes
    from mbert_onnx.provider_table import providers
    from mbert_onnx.results import compare, read_report, write_html, write_plot
    from mbert_onnx.runtime import load, run
    from mbert_onnx.text_benchmark import bench_texts
    from mbert_onnx.training.finetuning import finetune
    from mbert_onnx.training.pretraining import pretrain
    from mbert_onnx.training.transferring import schedule, transfer
    from mbert_onnx.training.validation import submit, validate
    from mbert_onnx.verifier import verify


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
