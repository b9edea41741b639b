"""Converts a checkpoint to ExecuTorch's format, in ExecuTorch's own environment, without the rest of this package.

to_executorch.py FOLDER ARCHITECTURE OUTPUTS LENGTHS BATCH TO

OUTPUTS and LENGTHS are separated by commas. Writes TO/LENGTH.pte for each length, and TO/LENGTH.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

INPUTS = ("input_ids", "attention_mask", "token_type_ids")

# The default attention leaves the operators of its mask outside XNNPACK.
ATTENTION = "eager"

NO_WORK = ("getitem", "output", "placeholder")
"""Nodes of torch's graph that compute nothing."""


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


def main(arguments: list[str]) -> None:
    """Converts. The libraries print to standard error."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools.backend_debug import get_delegation_info
    from executorch.exir import to_edge_transform_and_lower

    folder, architecture, outputs, lengths, batch, to = arguments
    loaded = getattr(transformers, architecture).from_pretrained(folder, attn_implementation=ATTENTION)
    model = Plain(loaded).eval()
    choices = (2,) if "MultipleChoice" in architecture else ()
    for seq_len in map(int, lengths.split(",")):
        # Token types are 0, since a model may have one only.
        ids = {name: torch.full((int(batch), *choices, seq_len), int(name == "attention_mask")) for name in INPUTS}
        with torch.no_grad():
            exported = torch.export.export(model, (), kwargs=ids)
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        counts = get_delegation_info(lowered.exported_program().graph_module)
        with (Path(to) / f"{seq_len}.pte").open("wb") as file:
            lowered.to_executorch().write_to_file(file)
        conversion: dict[str, Any] = {
            "inputs": list(INPUTS),
            "outputs": outputs.split(","),
            "partitions": counts.num_delegated_subgraphs,
            "XNNPACK": _counts(counts, "delegated"),
            "ExecuTorch": _counts(counts, "non_delegated"),
        }
        (Path(to) / f"{seq_len}.json").write_text(json.dumps(conversion))


def _counts(info: Any, where: str) -> dict[str, int]:
    kinds = {kind: getattr(found, where) for kind, found in info.delegation_by_operator.items()}
    return {kind: count for kind, count in kinds.items() if count and kind not in NO_WORK}


if __name__ == "__main__":
    main(sys.argv[1:])
