"""MobileBERT in production: exports PyTorch checkpoints as verified, fast `.onnx` files, benchmarks and runs them.

This module is the public API. Each name is imported when it is first used, so that `import mbert_onnx` stays fast::

    from mbert_onnx import bench, doctor, export, inspect, kernels, load, optimize, predict, run, verify
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = {
    "BundleError": "errors",
    "CalibrationError": "errors",
    "CheckpointError": "errors",
    "Columns": "training.data.custom",
    "DataError": "errors",
    "MbertError": "errors",
    "PrecisionError": "errors",
    "TrainingError": "errors",
    "UsageError": "errors",
    "VerificationError": "errors",
    "bench": "benchmark.bench",
    "bench_emulated": "benchmark.emulated",
    "bench_texts": "benchmark.texts",
    "bench_throughput": "benchmark.throughput.measuring",
    "compare": "benchmark.results",
    "doctor": "diagnosis.ranges",
    "doctor_provider": "diagnosis.provider_forecast",
    "evaluate": "training.evaluation.evaluator",
    "export": "conversion.exporter",
    "finetune": "training.finetuning",
    "inspect": "diagnosis.inspection",
    "kernels": "runtime.native_kernels",
    "load": "runtime.loading",
    "optimize": "conversion.optimizer",
    "passes": "conversion.optimizer",
    "predict": "prediction.pipeline",
    "pretrain": "training.pretraining",
    "providers": "diagnosis.provider_list",
    "read_report": "benchmark.results",
    "run": "runtime.loading",
    "schedule": "training.inputs.distillation.schedule",
    "submit": "training.validation",
    "transfer": "training.distilling",
    "validate": "training.validation",
    "verify": "conversion.verification.verifier",
    "write_html": "benchmark.results",
    "write_kernels": "runtime.platforms.writer",
    "write_plot": "benchmark.results",
}

# Public names whose modules do not import `graphs` or `perf` at their top.
_ALONE = (
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
    "kernels",
    "load",
    "predict",
    "run",
)

# Public names that need an extra: the extra, and the name of the feature in the error message.
_EXTRAS = {
    "export": ("export", "export"),
    "verify": ("export", "verify"),
    "predict": ("predict", "predict"),
    "evaluate": ("train", "evaluate"),
    **dict.fromkeys(("finetune", "pretrain", "schedule", "submit", "transfer", "validate"), ("train", "training")),
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
    "bench_throughput",
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
    "predict",
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
    "write_kernels",
    "write_plot",
]

if TYPE_CHECKING:
    from mbert_onnx.benchmark.bench import bench
    from mbert_onnx.benchmark.emulated import bench_emulated
    from mbert_onnx.benchmark.results import compare, read_report, write_html, write_plot
    from mbert_onnx.benchmark.texts import bench_texts
    from mbert_onnx.benchmark.throughput.measuring import bench_throughput
    from mbert_onnx.conversion.exporter import export
    from mbert_onnx.conversion.optimizer import optimize, passes
    from mbert_onnx.conversion.verification.verifier import verify
    from mbert_onnx.diagnosis.inspection import inspect
    from mbert_onnx.diagnosis.provider_forecast import doctor_provider
    from mbert_onnx.diagnosis.provider_list import providers
    from mbert_onnx.diagnosis.ranges import doctor
    from mbert_onnx.errors import (
        BundleError,
        CalibrationError,
        CheckpointError,
        DataError,
        MbertError,
        PrecisionError,
        TrainingError,
        UsageError,
        VerificationError,
    )
    from mbert_onnx.prediction.pipeline import predict
    from mbert_onnx.runtime.loading import load, run
    from mbert_onnx.runtime.native_kernels import kernels
    from mbert_onnx.runtime.platforms.writer import write_kernels
    from mbert_onnx.training.data.custom import Columns
    from mbert_onnx.training.distilling import transfer
    from mbert_onnx.training.evaluation.evaluator import evaluate
    from mbert_onnx.training.finetuning import finetune
    from mbert_onnx.training.inputs.distillation.schedule import schedule
    from mbert_onnx.training.pretraining import pretrain
    from mbert_onnx.training.validation import submit, validate


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _EXTRAS or name not in _ALONE:
        from mbert_onnx.errors.requirements import PRIVATE_PACKAGES, require_beside, require_extra

        if name in _EXTRAS:
            require_extra(*_EXTRAS[name])
        for package in PRIVATE_PACKAGES:
            require_beside(package)
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
