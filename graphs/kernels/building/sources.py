"""Sources of the native kernels, each with its own compiler flags."""

from __future__ import annotations

from collections.abc import Sequence

# The tokenizer, which is independent of onnxruntime and of instruction sets.
TEXT = (
    "text/rows",
    "text/symbols",
    "text/tokenizer",
    "text/wordpiece",
    "text/write_row",
)

# The kernels without those of instruction sets, which the library for onnxruntime and the standalone runtime share.
KERNELS = (
    "blocks/attention",
    "blocks/attention_int8",
    "blocks/encoder",
    "blocks/stacked_ffn",
    "operators/node",
    "operators/nodes/bottleneck_attention",
    "operators/nodes/embeddings",
    "operators/nodes/encoder",
    "operators/nodes/stacked_ffn",
    "operators/nodes/tokenize",
    "operators/scores",
    "operators/tokenizer_reader",
    "operators/weights",
    "ort/mapped_pages",
    "ort/message",
    "ort/scratch",
    *TEXT,
)

COMMON = (
    *KERNELS,
    "isa/portable",
    "isa/processor",
    "library/instruction_sets",
    "library/register_custom_ops",
    "library/registration",
    "operators/isa_selection",
    "ort/libc",
    "ort/ort",
    "ort/weight_memory",
)

# What Windows' library has in place of the C runtime.
WINDOWS = ("library/windows",)

# The part of COMMON that is independent of onnxruntime, for programs that run blocks without it.
ARITHMETIC = (
    "blocks/attention",
    "blocks/attention_int8",
    "blocks/encoder",
    "blocks/stacked_ffn",
    "isa/portable",
    "isa/processor",
)

# Sources whose code takes no time worth mentioning: compiled for size.
SMALL = (
    "library/instruction_sets",
    "library/register_custom_ops",
    "library/registration",
    "operators/isa_selection",
    "operators/nodes/tokenize",
    "operators/scores",
    "operators/tokenizer_reader",
    "operators/weights",
    "ort/message",
    "ort/ort",
    "ort/scratch",
    "text/rows",
    "text/tokenizer",
)

AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
# By architecture: the source file of each instruction set, and the compiler's flags for it.
INSTRUCTION_SETS = {
    "x86_64": {
        "isa/x86/avx2": "-mavx2 -mfma -mf16c",
        "isa/x86/avx_vnni": "-mavx2 -mfma -mf16c -mavxvnni",
        "isa/x86/avx512": AVX512,
        "isa/x86/avx512_vnni": f"{AVX512} -mavx512vnni",
        "isa/x86/amx": f"{AVX512} -mamx-tile -mamx-int8",
    },
    "aarch64": {
        "isa/arm/neon": "",
        "isa/arm/neon_i8mm": "-mcpu=generic+fullfp16+dotprod+i8mm",
        "isa/arm/neon_dotprod": "-mcpu=generic+fullfp16+dotprod",
    },
}

# Instruction sets that only Linux's libraries have (see isa/processor.h).
LINUX_ONLY = ("isa/x86/amx",)


def with_flags(common: Sequence[str]) -> dict[str, list[str]]:
    """Returns common sources, each with its compiler flags."""
    return {name: ["-Os"] if name in SMALL else [] for name in common}


def sources_of(processor: str, common: Sequence[str]) -> dict[str, list[str]]:
    """Returns common sources and those of an architecture's instruction sets, each with its compiler flags."""
    return with_flags(common) | {name: flags.split() for name, flags in INSTRUCTION_SETS[processor].items()}
