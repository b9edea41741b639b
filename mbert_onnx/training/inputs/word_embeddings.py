"""Word embeddings of another BERT as the initialization of a new model's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint
from mbert_onnx.model.checkpoint_tokenizer.loading import without_warnings
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.model.tokenizer_files import SPECIAL
from mbert_onnx.reference import is_reference, located
from mbert_onnx.text.tokenizer import PADDING_TOKENS

# Standard deviation of the copied word embeddings relative to `initializer_range`, that of the random position
# embeddings: words carry information, positions none yet.
WORD_SPREAD = 5.0

BATCH_WORDS = 512
"""Words in one batch."""


def copy_word_embeddings(model: MobileBertModel, vocabulary: dict[str, int], checkpoint: str, layer: int = 0) -> int:
    """Copies the word embeddings of another BERT for the words that both vocabularies have; returns their number.

    They are reduced to the model's `embedding_size` by principal components and scaled by one factor.

    Args:
        model: The new model; its other words keep their embeddings.
        vocabulary: Vocabulary of the model.
        checkpoint: Folder with the weights and `tokenizer.json` of the other BERT.
        layer: 0 for its embedding table; n for the output of its layer n for each word alone. In a fine-tuned BERT this
            output separates words by their meaning for the task.

    Raises CheckpointError if it cannot be loaded or has no such layer, fewer dimensions, or too few common words.
    """
    from sklearn.decomposition import PCA
    from tokenizers import Tokenizer
    from transformers import AutoModel

    folder = located(checkpoint)
    try:
        theirs = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab()
        with (
            tempfile.TemporaryDirectory(prefix="mbert-onnx-", ignore_cleanup_errors=True) as temporary,
            without_warnings(),  # warns that the head is not loaded, which is intended
        ):
            source = folder
            if is_reference(checkpoint):  # in int8, which transformers does not read
                source = Path(temporary)
                save_checkpoint(load_checkpoint(checkpoint), source)
            other = AutoModel.from_pretrained(source).eval()
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"word_embeddings {checkpoint} cannot be loaded ({reason})") from error
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(f"word_embeddings {checkpoint} has no {TOKENIZER} that can be read ({error})") from error
    if layer > other.config.num_hidden_layers:
        raise CheckpointError(f"{checkpoint} has {other.config.num_hidden_layers} layers; word_layer is {layer}")
    size, table = model.config.embedding_size, other.get_input_embeddings().weight.detach().float()
    # Not that of the padding token, which stays zero.
    common = sorted((set(vocabulary) & set(theirs)) - set(PADDING_TOKENS), key=vocabulary.__getitem__)
    if len(common) < size or table.shape[1] < size:
        raise CheckpointError(
            f"word_embeddings {checkpoint} has {len(common)} words in common, of {table.shape[1]} dimensions; "
            f"expected {size} or more of both"
        )
    ids = torch.tensor([theirs[word] for word in common])
    known = table[ids] if layer == 0 else _layer_outputs(other, ids, theirs, layer)
    reduced = torch.from_numpy(PCA(size, random_state=0).fit_transform(known.numpy())).float()
    reduced *= WORD_SPREAD * model.config.initializer_range / reduced.std()
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[[vocabulary[word] for word in common]] = reduced
    return len(common)


def _layer_outputs(other: Any, ids: Tensor, vocabulary: dict[str, int], layer: int) -> Tensor:
    """Computes the output of a layer for each word between [CLS] and [SEP], ``[words, hidden_size]``."""
    begin, end = (torch.tensor([vocabulary[SPECIAL[name]]]) for name in ("cls", "sep"))
    found = []
    with torch.inference_mode():
        for batch in ids.split(BATCH_WORDS):
            rows = torch.stack([begin.expand_as(batch), batch, end.expand_as(batch)], dim=1)
            found.append(other(input_ids=rows, output_hidden_states=True).hidden_states[layer][:, 1].float())
    return torch.cat(found).clone()
