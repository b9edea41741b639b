"""Answers a question with a bundle, using only onnxruntime and tokenizers; mbert-onnx is not needed.

python examples/plain_onnxruntime.py BUNDLE "Who wrote it?" "It was written by Ada in 1843."
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def answer(bundle: Path, question: str, context: str) -> str:
    """Returns the most likely span of the context. It must fit the model (`mbert_onnx.load` reads longer ones)."""
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    session = onnxruntime.InferenceSession(bundle / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])

    encoding = tokenizer.encode(question, context)
    ids = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    start, end = session.run(
        ["start_logits", "end_logits"], {name: np.array([row], dtype=np.int64) for name, row in ids.items()}
    )

    in_context = np.array([part == 1 for part in encoding.sequence_ids])
    scores = start[0][:, None] + end[0][None, :]
    allowed = np.triu(in_context[:, None] & in_context[None, :])  # the end is not before the start
    first, last = np.unravel_index(np.where(allowed, scores, -np.inf).argmax(), scores.shape)
    return context[encoding.offsets[first][0] : encoding.offsets[last][1]]


if __name__ == "__main__":
    print(answer(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
