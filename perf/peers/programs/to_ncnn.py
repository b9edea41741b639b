"""Converts a checkpoint to ncnn's format, in ncnn's own environment, without the rest of this package.

to_ncnn.py FOLDER ARCHITECTURE OUTPUTS LENGTHS BATCH TO

OUTPUTS and LENGTHS are separated by commas. Writes TO/LENGTH.param for each length, TO/LENGTH.bin and TO/LENGTH.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

# ncnn has no operator that converts integers to floats, so the mask is an input of floats.
TYPES = {"input_ids": torch.int64, "attention_mask": torch.float32, "token_type_ids": torch.int64}

# pnnx supports the operators of this attention; tracing the default one includes checks of the mask.
ATTENTION = "eager"

PAD = torch.nn.functional.pad

UNKNOWN = ("aten::", "prim::", "pnnx.", "torch.", "Tensor.", "F.", "nn.")
"""Prefixes of operators that pnnx leaves unconverted, because ncnn has no equivalent."""


class Plain(torch.nn.Module):
    """A module whose outputs are a tuple."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return tuple(found.to_tuple())


def pad_without_zeros(given: torch.Tensor, pad: Sequence[int], *rest: Any, **more: Any) -> torch.Tensor:
    """Calls torch's `pad` without pairs of zeros at the end of `pad`, which have no effect.

    With them, pnnx produces tensors of another rank, and ncnn concatenates them with others as if the rank were the
    same: outputs are then wrong, and differ from run to run.
    """
    short = list(pad)
    while short[-2:] == [0, 0]:
        del short[-2:]
    return PAD(given, short, *rest, **more)


def main(arguments: list[str]) -> None:
    """Converts. Exits with the names of operators that ncnn does not have."""
    import pnnx

    setattr(torch.nn.functional, "pad", pad_without_zeros)  # noqa: B010  # its signature is narrower
    folder, architecture, outputs, lengths, batch, to = arguments
    loaded = getattr(transformers, architecture).from_pretrained(folder, attn_implementation=ATTENTION)
    model = Plain(loaded).eval()
    choices = (2,) if "MultipleChoice" in architecture else ()
    for seq_len in map(int, lengths.split(",")):
        shape = (int(batch), *choices, seq_len)
        # Token types are 0, since a model may have one only.
        ids = tuple(torch.full(shape, int(name == "attention_mask"), dtype=dtype) for name, dtype in TYPES.items())
        output = Path(to) / f"{seq_len}.param"
        with tempfile.TemporaryDirectory() as scratch:  # pnnx writes nine files
            pnnx.export(
                model,
                str(Path(scratch) / "model.pt"),
                inputs=ids,
                ncnnparam=str(output),
                ncnnbin=str(output.with_suffix(".bin")),
                check_trace=False,
                fp16=False,
            )
        if not output.is_file():
            sys.exit("it wrote no file")
        kinds = [line.split()[0] for line in output.read_text().splitlines()[2:]]
        unknown = sorted({kind for kind in kinds if kind.startswith(UNKNOWN)})
        if unknown:
            sys.exit(f"ncnn has no operator for {', '.join(unknown)}")
        inputs = [
            {"name": name, "type": {torch.int64: "int32", torch.float32: "float"}[dtype], "shape": shape}
            for name, dtype in TYPES.items()
        ]
        output.with_suffix(".json").write_text(json.dumps({"inputs": inputs, "outputs": outputs.split(",")}))


if __name__ == "__main__":
    main(sys.argv[1:])
