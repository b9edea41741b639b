"""Converts a checkpoint to LiteRT's format, in LiteRT's own environment, without the rest of this package.

to_litert.py FOLDER ARCHITECTURE OUTPUTS LENGTHS BATCH RECIPE TO

OUTPUTS and LENGTHS are separated by commas. RECIPE is FLOAT, or a function of `ai_edge_quantizer.recipe`. Writes
TO/LENGTH.tflite for each length.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import transformers

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Named(torch.nn.Module):
    """A module whose outputs are a plain dict, so that the file has their names."""

    def __init__(self, model: torch.nn.Module, outputs: list[str]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return dict(zip(self.outputs, found.to_tuple(), strict=False))


def main(arguments: list[str]) -> None:
    """Converts. The libraries print to standard error."""
    import litert_torch
    from ai_edge_quantizer import quantizer, recipe

    folder, architecture, outputs, lengths, batch, chosen, to = arguments
    model = getattr(transformers, architecture).from_pretrained(folder).eval()
    for seq_len in map(int, lengths.split(",")):
        file = Path(to) / f"{seq_len}.tflite"
        # Token types are 0, since a model may have one only.
        ids = {name: torch.full((int(batch), seq_len), int(name == "attention_mask")) for name in INPUTS}
        litert_torch.convert(Named(model, outputs.split(",")).eval(), sample_kwargs=ids).export(str(file))
        if chosen != "FLOAT":
            quantizing = quantizer.Quantizer(str(file))
            quantizing.load_quantization_recipe(getattr(recipe, chosen)())
            quantizing.quantize().export_model(str(file), overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1:])
