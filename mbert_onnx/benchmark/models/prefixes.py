"""Registry of the prefixes that `bench` accepts, as in `int8:CHECKPOINT`: one row for each.

Dispatch, `mbert-onnx bench --help`, the table in docs/benchmarking.md and the error for an unknown prefix all read it.
It imports nothing heavy, so that --help stays fast: a row names its builder by a dotted path.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from mbert_onnx.errors import UsageError
from mbert_onnx.reference import is_reference

if TYPE_CHECKING:
    from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder

HERE = "mbert_onnx.benchmark.models"
CHECKPOINT, MODEL = "CHECKPOINT", "MODEL"
ONNXRUNTIME = "onnxruntime"
EXPORT_EXTRA = "mbert-onnx[export]"
# The builder of prefixes that change nothing but the kernels, and take text files, too.
WITH_KERNELS = "ours.build_with_kernels"
# `random:tiny` is a built-in checkpoint: the word before its colon is not a prefix.
RANDOM = "random"


@dataclass(frozen=True)
class Prefix:
    """One row of the registry.

    Args:
        name: The word before the colon. A part in capitals stands for one of `variants`: `optimum-PRESET`.
        help: One sentence: what the prefix stands for.
        build: The function that builds the model, `MODULE.FUNCTION` in this package; its type is `BuildFunction`.
        takes: `CHECKPOINT`, or `MODEL`: anything that `bench` accepts, other prefixes included.
        runtime: The runtime that runs the model, as `perf.sessions.runtimes` names it; empty: that of MODEL.
        installs: The packages that `bench` installs into an environment of their own, from PyPI or npm.
        needs: The packages that must be installed beside mbert-onnx, as pip takes them, or a program.
        options: Further keyword arguments of the function.
        variants: The values of the part in capitals.
    """

    name: str
    help: str
    build: str
    takes: str
    runtime: str = ONNXRUNTIME
    installs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The words that it stands for: one, or one for each of the variants."""
        fixed = self.name.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return tuple(fixed + variant for variant in self.variants) or (self.name,)

    @property
    def usage(self) -> str:
        """The prefix with its argument, such as `int8:CHECKPOINT`."""
        return f"{self.name}:{self.takes}"


@dataclass(frozen=True)
class Request:
    """A model to build.

    Args:
        name: The name as the user gave it, such as `int8:random`.
        prefix: The word before the colon, `int8`; empty where there is none.
        inner: The part after the colon, `random`; the whole name where there is no prefix.
        row: The row of the registry.
    """

    name: str
    prefix: str
    inner: str
    row: Prefix


class BuildFunction(Protocol):
    """A function that builds one model. It asks `builder` for the model inside: `builder.build(request.inner)`."""

    def __call__(self, request: Request, builder: ModelBuilder, **options: Any) -> BuiltModel: ...


_OPENVINO = ("openvino", "nncf")
_OPTIMUM = ("optimum-onnx", "transformers", "torch", "onnxruntime", "onnx")
_LITERT = ("torch", "transformers", "litert-torch", "ai-edge-litert", "ai-edge-quantizer")

# A bundle, an `.onnx` file or a checkpoint.
PLAIN = Prefix("", "A bundle, an .onnx file, or a checkpoint, which is exported first.", "ours.build_plain", MODEL)

PREFIXES = (
    # MODEL with or without our native kernels.
    Prefix(
        "native",
        "The model with the native kernels; an error if they cannot compute any of its blocks.",
        WITH_KERNELS,
        MODEL,
        runtime="",
    ),
    Prefix("portable", "The model without the native kernels.", WITH_KERNELS, MODEL, runtime=""),
    # Our exports of a checkpoint.
    Prefix(
        "fp16",
        "Our export of the checkpoint in half precision.",
        "ours.build_export",
        CHECKPOINT,
        needs=(EXPORT_EXTRA,),
        options={"target": "cpu", "precision": "fp16"},
    ),
    Prefix(
        "int8",
        "Our export of the checkpoint in 8-bit integers.",
        "ours.build_export",
        CHECKPOINT,
        needs=(EXPORT_EXTRA,),
        options={"target": "cpu", "precision": "int8"},
    ),
    Prefix(
        "mobile",
        "Our export for phones, with one file of fixed shapes for each length.",
        "ours.build_export",
        CHECKPOINT,
        needs=(EXPORT_EXTRA,),
        options={"target": "mobile", "precision": "fp32"},
    ),
    Prefix(
        "mobile-fp16",
        "Our export for phones in half precision, with one file for each length.",
        "ours.build_export",
        CHECKPOINT,
        needs=(EXPORT_EXTRA,),
        options={"target": "mobile", "precision": "fp16"},
    ),
    Prefix(
        "mobile-int8",
        "Our export for phones in 8-bit integers, with one file for each length.",
        "ours.build_export",
        CHECKPOINT,
        needs=(EXPORT_EXTRA,),
        options={"target": "mobile", "precision": "int8"},
    ),
    # Tools that rewrite an `.onnx` file.
    Prefix("optimized", "The model after `mbert-onnx optimize`.", "graph_tools.build_optimized", MODEL),
    Prefix("onnxslim", "The model after onnxslim.", "graph_tools.build_onnxslim", MODEL, needs=("onnxslim",)),
    Prefix(
        "ort-transformers",
        "The model after onnxruntime.transformers.optimizer, which treats it as a BERT.",
        "graph_tools.build_ort_transformers",
        MODEL,
    ),
    Prefix(
        "ort-dynamic",
        "The model after onnxruntime's quantize_dynamic, with its defaults.",
        "graph_tools.build_ort_dynamic",
        MODEL,
    ),
    Prefix(
        "optimum-PRESET",
        "The model quantized by optimum-onnx with a preset: arm64, avx2, avx512, avx512_vnni, ppc64le or tensorrt.",
        "graph_tools.build_optimum",
        MODEL,
        installs=_OPTIMUM,
        variants=("arm64", "avx2", "avx512", "avx512_vnni", "ppc64le", "tensorrt"),
    ),
    # Other tools' models of a checkpoint.
    Prefix(
        "transformers",
        "The checkpoint exported to ONNX by transformers and torch.onnx.",
        "from_checkpoint.build_transformers",
        CHECKPOINT,
        needs=(EXPORT_EXTRA,),
    ),
    Prefix(
        "torch",
        "transformers' module in eager PyTorch.",
        "from_checkpoint.build_torch",
        CHECKPOINT,
        runtime="torch",
        needs=(EXPORT_EXTRA,),
    ),
    Prefix(
        "torch-compile",
        "transformers' module compiled by torch.compile.",
        "from_checkpoint.build_torch",
        CHECKPOINT,
        runtime="torch-compiled",
        needs=(EXPORT_EXTRA,),
    ),
    Prefix(
        "litert",
        "transformers' module converted to LiteRT in float32, with one file for each length.",
        "from_checkpoint.build_converted",
        CHECKPOINT,
        runtime="litert",
        installs=_LITERT,
        needs=(EXPORT_EXTRA,),
    ),
    Prefix(
        "litert-int8",
        "The same, quantized by ai-edge-quantizer: 8-bit weights, activations quantized at run time.",
        "from_checkpoint.build_converted",
        CHECKPOINT,
        runtime="litert",
        installs=_LITERT,
        needs=(EXPORT_EXTRA,),
    ),
    Prefix(
        "executorch",
        "transformers' module converted to ExecuTorch with XNNPACK, with one file for each length.",
        "from_checkpoint.build_converted",
        CHECKPOINT,
        runtime="executorch",
        installs=("torch", "transformers", "executorch"),
        needs=(EXPORT_EXTRA,),
    ),
    Prefix(
        "ncnn",
        "transformers' module converted to ncnn by pnnx, with one file for each length.",
        "from_checkpoint.build_converted",
        CHECKPOINT,
        runtime="ncnn",
        installs=("torch", "transformers", "ncnn", "pnnx"),
        needs=(EXPORT_EXTRA,),
    ),
    # Other runtimes for an `.onnx` file.
    Prefix(
        "openvino",
        "The model in OpenVINO, in float32.",
        "openvino.build_float",
        MODEL,
        runtime="openvino-f32",
        installs=_OPENVINO,
    ),
    Prefix(
        "openvino-bf16",
        "The model in OpenVINO, in bfloat16 where the processor has it.",
        "openvino.build_float",
        MODEL,
        runtime="openvino-bf16",
        installs=_OPENVINO,
    ),
    Prefix(
        "openvino-int8",
        "The model quantized by NNCF, in OpenVINO; the calibration texts are those of our int8.",
        "openvino.build_int8",
        MODEL,
        runtime="openvino",
        installs=_OPENVINO,
    ),
    Prefix(
        "openvino-fixed",
        "The same as openvino, with one file of fixed shapes for each length, which makes its code faster.",
        "openvino.build_fixed",
        MODEL,
        runtime="openvino-f32",
        installs=_OPENVINO,
        options={"dynamic": "openvino"},
    ),
    Prefix(
        "openvino-bf16-fixed",
        "The same as openvino-bf16, with one file of fixed shapes for each length.",
        "openvino.build_fixed",
        MODEL,
        runtime="openvino-bf16",
        installs=_OPENVINO,
        options={"dynamic": "openvino-bf16"},
    ),
    Prefix(
        "openvino-int8-fixed",
        "The same as openvino-int8, with one file of fixed shapes for each length.",
        "openvino.build_fixed",
        MODEL,
        runtime="openvino",
        installs=_OPENVINO,
        options={"dynamic": "openvino-int8"},
    ),
    Prefix(
        "mnn",
        "The model converted to MNN, with one file for each length.",
        "from_onnx.build_converted",
        MODEL,
        runtime="mnn",
        installs=("MNN",),
    ),
    Prefix(
        "iree",
        "The model compiled by IREE for this processor, with one file for each length.",
        "from_onnx.build_converted",
        MODEL,
        runtime="iree",
        installs=("iree-base-compiler", "iree-base-runtime", "onnx"),
    ),
    Prefix(
        "tvm",
        "The model compiled by TVM for this processor without tuning, with one file for each length.",
        "from_onnx.build_converted",
        MODEL,
        runtime="tvm",
        installs=("apache-tvm", "onnx"),
    ),
    # WebAssembly under Node.js.
    Prefix(
        "web",
        "The model in mbert-onnx-web, this package's runtime for browsers, under Node.js.",
        "web.build_mbert_web",
        MODEL,
        runtime="mbert-onnx-web",
        needs=("Node.js",),
    ),
    Prefix(
        "ort-web",
        "The model in onnxruntime-web under Node.js: WebAssembly, as a browser runs it.",
        "web.build_onnxruntime_web",
        MODEL,
        runtime="onnxruntime-web",
        installs=("onnxruntime-web",),
        needs=("Node.js",),
    ),
)


def parse(name: str) -> Request:
    """Splits a model's name into prefix and rest. An existing path has no prefix, whatever colons are in it.

    Raises UsageError for an unknown prefix.
    """
    prefix, colon, inner = name.partition(":")
    if not colon or prefix == RANDOM or is_reference(name) or Path(name).exists():
        return Request(name, "", name, PLAIN)
    for row in PREFIXES:
        if prefix in row.names:
            if not inner:
                raise UsageError(f"{name} names no model; expected {row.usage}")
            return Request(name, prefix, inner, row)
    if len(prefix) == 1 or name.endswith(".onnx"):  # a drive letter, or a file that does not exist
        return Request(name, "", name, PLAIN)
    known = ", ".join(f"{row.name}:" for row in PREFIXES)
    raise UsageError(
        f"{name}: {prefix}: is not a known prefix, and {name} is not an existing file, bundle or checkpoint; expected "
        f"one of the prefixes {known}; or a path, a hub id, or a built-in checkpoint such as {RANDOM}"
    )


def check_prefixes(name: str) -> None:
    """Raises UsageError for an unknown prefix anywhere in a model's name, such as in `ort-dynamic:foo:random`."""
    request = parse(name)
    if request.prefix:
        check_prefixes(request.inner)


def build_function(row: Prefix) -> BuildFunction:
    """Imports the builder function of a row."""
    module, _, function = row.build.rpartition(".")
    return cast("BuildFunction", getattr(importlib.import_module(f"{HERE}.{module}"), function))


def help_lines() -> Iterator[str]:
    """Yields one line for each prefix: its usage and its help."""
    for row in PREFIXES:
        yield f"{row.usage}  {row.help}"
