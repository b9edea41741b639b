"""Accuracy of masked words on held-out sentences: how well a student was pre-trained, before any fine-tuning.

    python -m examples.experiments.paper_in_small.masked_words OUTPUT.json QUESTIONS.jsonl CHECKPOINT...

In each sentence of the paragraphs, 15 % of the tokens are masked, the same for all models, which share a tokenizer. The
output has for each model the share of correct predictions in each sentence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from examples.reference.corpus.documents import sentences_of
from examples.reference.corpus.squad_articles import paragraphs_of
from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.tasks import PRETRAINING

MASKED, SHORTEST, LONGEST, BATCH, SEED = 0.15, 8, 64, 64, 0


def masked_rows(encoder: TextEncoder, sentences: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """Returns for each sentence of at least 8 known tokens the masked ids, and the labels: -1 where none is masked."""
    generator = torch.Generator().manual_seed(SEED)
    mask, unknown = (encoder.tokenizer.token_to_id(token) for token in ("[MASK]", "[UNK]"))
    rows = []
    for sentence in sentences:
        ids = torch.tensor(encoder.truncated(sentence)[0].ids)
        places = torch.arange(1, len(ids) - 1)[ids[1:-1] != unknown]  # the first and the last token are special
        if len(places) < SHORTEST:
            continue
        chosen = places[torch.randperm(len(places), generator=generator)[: round(MASKED * len(places))]]
        labels = torch.full_like(ids, -1)
        labels[chosen] = ids[chosen]
        rows.append((ids.index_fill(0, chosen, mask), labels))
    return rows


def accuracy(checkpoint: str, sentences: Sequence[str]) -> list[float]:
    """Returns the share of correct predictions in each sentence."""
    loaded = load_checkpoint(checkpoint, task=PRETRAINING.name)
    assert loaded.folder is not None
    longest = min(LONGEST, loaded.config.max_position_embeddings)
    encoder = TextEncoder(loaded.folder / TOKENIZER, longest, vocab_size=None, segments=None)
    rows = masked_rows(encoder, sentences)
    model, shares = loaded.model.eval(), [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda number: len(rows[number][0]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            ids = pad_sequence([rows[number][0] for number in batch], batch_first=True)
            lengths = torch.tensor([len(rows[number][0]) for number in batch])
            real = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            logits = model(ids, real, torch.zeros_like(ids)).prediction_logits
            for place, number in enumerate(batch):
                labels = rows[number][1]
                chosen = labels >= 0
                predicted = logits[place, : len(labels)][chosen].argmax(-1)
                shares[number] = float((predicted == labels[chosen]).float().mean())
    return shares


def main(output: Path, questions: Path, checkpoints: Sequence[str]) -> None:
    """Writes the shares of all models, and prints their means."""
    read = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    sentences = [sentence for paragraph in paragraphs_of(read) for sentence in sentences_of(paragraph)]
    found = {}
    for checkpoint in checkpoints:
        found[checkpoint] = accuracy(checkpoint, sentences)
        print(f"{checkpoint}: {sum(found[checkpoint]) / len(found[checkpoint]):.2%} of masked words", flush=True)
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text(json.dumps(found) + "\n", encoding="utf-8")
    partial.replace(output)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python -m examples.experiments.paper_in_small.masked_words OUTPUT QUESTIONS CHECKPOINT...")
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
