"""The words of another BERT, for a model that begins."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError

from mbert_onnx.bundle_reader import TOKENIZER
from mbert_onnx.errors import CheckpointError
from mbert_onnx.student import MobileBertModel

# So much do words vary against positions, which are drawn with `initializer_range`: they are what there is to know.
SPREAD = 5.0


def take_words(model: MobileBertModel, vocabulary: dict[str, int], checkpoint: str) -> int:
    """Gives words of a model the embeddings that another has for the same spelling; how many.

    They are reduced to the model's `embedding_size` by principal components, and scaled as a whole.

    Args:
        model: Its other words stay as they are.
        vocabulary: Its words.
        checkpoint: A folder with the other's weights and `tokenizer.json`.

    Raises CheckpointError where it has no word embeddings, fewer dimensions, or no word in common.
    """
    from sklearn.decomposition import PCA
    from tokenizers import Tokenizer
    from transformers import AutoModel

    folder = Path(checkpoint)
    try:
        theirs = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab()
        table = AutoModel.from_pretrained(folder).get_input_embeddings().weight.detach().float()
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"word_embeddings {checkpoint} cannot be loaded ({reason})") from error
    except Exception as error:  # tokenizers raises Exception itself
        raise CheckpointError(f"word_embeddings {checkpoint} has no {TOKENIZER} that can be read ({error})") from error
    size = model.config.embedding_size
    common = sorted(set(vocabulary) & set(theirs), key=vocabulary.__getitem__)
    if len(common) < size or table.shape[1] < size:
        raise CheckpointError(
            f"word_embeddings {checkpoint} has {len(common)} words in common, of {table.shape[1]} dimensions; "
            f"expected {size} or more of both"
        )
    known = table[[theirs[word] for word in common]]
    reduced = torch.from_numpy(PCA(size, random_state=0).fit_transform(known.numpy())).float()
    reduced *= SPREAD * model.config.initializer_range / reduced.std()
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[[vocabulary[word] for word in common]] = reduced
    return len(common)
