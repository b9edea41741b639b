"""The words of another BERT, for a model that begins."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from mbert_onnx.bundles.reader import TOKENIZER
from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.other_berts import without_warnings
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.model.tokenizer_files import SPECIAL
from mbert_onnx.reference import located

# So much do words vary against positions, which are drawn with `initializer_range`: they are what there is to know.
SPREAD = 5.0

TOGETHER = 512
"""Words that are read at a time."""


def take_words(model: MobileBertModel, vocabulary: dict[str, int], checkpoint: str, layer: int = 0) -> int:
    """Gives words of a model the embeddings that another has for the same spelling; how many.

    They are reduced to the model's `embedding_size` by principal components, and scaled as a whole.

    Args:
        model: Its other words stay as they are.
        vocabulary: Its words.
        checkpoint: A folder with the other's weights and `tokenizer.json`.
        layer: 0 for the other's table of words; else the layer whose output for a word stands for it, where it is read
            alone. A BERT that was fine-tuned for a task tells words apart there as the task does.

    Raises CheckpointError where it has no word embeddings, no such layer, fewer dimensions, or no word in common.
    """
    from sklearn.decomposition import PCA
    from tokenizers import Tokenizer
    from transformers import AutoModel

    folder = located(checkpoint)
    try:
        theirs = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab()
        with without_warnings():  # that its head is left out is what is asked for
            other = AutoModel.from_pretrained(folder).eval()
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"word_embeddings {checkpoint} cannot be loaded ({reason})") from error
    except Exception as error:  # tokenizers raises Exception itself
        raise CheckpointError(f"word_embeddings {checkpoint} has no {TOKENIZER} that can be read ({error})") from error
    if layer > other.config.num_hidden_layers:
        raise CheckpointError(f"{checkpoint} has {other.config.num_hidden_layers} layers; word_layer is {layer}")
    size, table = model.config.embedding_size, other.get_input_embeddings().weight.detach().float()
    common = sorted(set(vocabulary) & set(theirs), key=vocabulary.__getitem__)
    if len(common) < size or table.shape[1] < size:
        raise CheckpointError(
            f"word_embeddings {checkpoint} has {len(common)} words in common, of {table.shape[1]} dimensions; "
            f"expected {size} or more of both"
        )
    ids = torch.tensor([theirs[word] for word in common])
    known = table[ids] if layer == 0 else _read_alone(other, ids, theirs, layer)
    reduced = torch.from_numpy(PCA(size, random_state=0).fit_transform(known.numpy())).float()
    reduced *= SPREAD * model.config.initializer_range / reduced.std()
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[[vocabulary[word] for word in common]] = reduced
    return len(common)


def _read_alone(other: Any, ids: Tensor, vocabulary: dict[str, int], layer: int) -> Tensor:
    """What a layer gives for each word between [CLS] and [SEP], ``[words, hidden_size]``."""
    begin, end = (torch.tensor([vocabulary[SPECIAL[name]]]) for name in ("cls", "sep"))
    found = []
    with torch.inference_mode():
        for some in ids.split(TOGETHER):
            rows = torch.stack([begin.expand_as(some), some, end.expand_as(some)], dim=1)
            found.append(other(input_ids=rows, output_hidden_states=True).hidden_states[layer][:, 1].float())
    return torch.cat(found).clone()
