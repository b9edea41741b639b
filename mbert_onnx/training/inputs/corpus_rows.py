"""Tokenizer of a run, and the tokenized rows of its corpus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.errors import CheckpointError, TrainingError
from mbert_onnx.model.padding import padding_token_in
from mbert_onnx.model.tokenizer_files import reduce_tokenizer, train_tokenizer, write_tokenizer
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.training.data.corpus.documents import Document, corpus_from_hub, read_corpus
from mbert_onnx.training.data.corpus.segments import segments_of
from mbert_onnx.training.data.passages.line_store import lines_at
from mbert_onnx.training.data.passages.rows import AnyRows, PassageRows
from mbert_onnx.training.data.passages.sampler import Source
from mbert_onnx.training.data.row_store import Item, MaskingCollate, Rows, rows_at
from mbert_onnx.training.data.source import load_from_hub
from mbert_onnx.training.recipe import CorpusTable, FilesTable, MixTable, TokenizerTable


def documents_of(table: CorpusTable) -> Iterator[Document]:
    """Yields the documents of a recipe's corpus."""
    if table.hub is None:
        return chain.from_iterable(documents_in(source) for source in table.sources)
    return corpus_from_hub(_from_hub(table), table.columns[0])


def documents_in(table: FilesTable) -> Iterator[Document]:
    """Yields the documents of the files of a table."""
    return read_corpus(table.files, table.columns, id=table.id, every=table.held_out_every)


def _from_hub(table: CorpusTable) -> Any:
    # Streaming, so that a dataset as large as Wikipedia is not downloaded before training begins.
    rows = load_from_hub(str(table.hub), table.hub_config, split=table.hub_split, streaming=True)
    column, known = table.columns[0], rows.column_names
    if known and column not in known:
        raise TrainingError(f"{table.hub} has the columns {name_list(known)}; expected {column}")
    return rows


def tokenizer_in(folder: Path, table: TokenizerTable, corpus: CorpusTable | None, max_length: int) -> None:
    """Writes the tokenizer of a recipe into a folder; trains or reduces its vocabulary on the corpus if required.

    Raises CheckpointError if the recipe's folder has no tokenizer.
    """
    if (folder / TOKENIZER).is_file():
        return
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if table.folder is not None and table.vocab_size is not None:
        assert corpus is not None
        reduce_tokenizer(
            table.folder,
            chain.from_iterable(documents_of(corpus)),
            partial,
            table.vocab_size,
            max_length,
            min_frequency=table.min_frequency if "min_frequency" in table.model_fields_set else 0,
        )
    elif table.folder is not None:
        if not write_tokenizer(table.folder, partial, 0, max_length):
            raise CheckpointError(f"{table.folder} has no tokenizer.json and no vocab.txt; expected one of them")
    else:
        assert table.vocab_size is not None
        assert corpus is not None
        train_tokenizer(
            lambda: chain.from_iterable(documents_of(corpus)),
            partial,
            table.vocab_size,
            max_length,
            min_frequency=table.min_frequency,
        )
    partial.rename(folder)


def encoder_in(folder: Path, max_length: int) -> TextEncoder:
    """Returns the encoder of the tokenizer in a folder."""
    return TextEncoder(folder / TOKENIZER, max_length)


def prepare_corpus(
    tokenizer_folder: Path,
    rows_folder: Path,
    tokenizer: TokenizerTable,
    data: CorpusTable,
    accelerator: Accelerator,
    seed: int,
    *,
    whole_texts: bool = False,
) -> tuple[TextEncoder, AnyRows]:
    """Writes tokenizer and rows of a run in the main process; returns the encoder and the rows in every process.

    With `whole_texts` rows are drawn at random from the lines, also if the recipe names no passages.
    """
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            tokenizer_in(tokenizer_folder, tokenizer, data, data.max_length)
        encoder = encoder_in(tokenizer_folder, data.max_length)
        if whole_texts or data.draws_passages:
            return encoder, passage_rows(rows_folder, data, encoder)
        return encoder, corpus_rows(rows_folder, data, encoder, seed)


def corpus_rows(folder: Path, table: CorpusTable, encoder: TextEncoder, seed: int) -> Rows:
    """Returns the rows of the corpus, which are tokenized once per run."""

    def items() -> Iterator[Item]:
        segments = segments_of(
            documents_of(table), encoder, max_length=table.max_length, next_sentence=table.next_sentence, seed=seed
        )
        for segment in segments:
            row = encoder.row(segment.first, segment.second if table.next_sentence else None)
            item: Item = {"input_ids": row.ids, "token_type_ids": row.type_ids, "length": len(row)}
            yield {**item, "next_sentence": segment.next_sentence} if table.next_sentence else item

    source = table.hub or ", ".join(map(str, table.files))
    return rows_at(folder, items, source)


def passage_rows(folder: Path, table: CorpusTable, encoder: TextEncoder) -> PassageRows:
    """Returns rows of whole lines and passages, drawn from the corpus, whose lines are tokenized once."""
    sources = [
        Source(source.weight if isinstance(source, MixTable) else 1.0, tuple(source.passages))
        for source in table.sources or [table]
    ]
    documents = [(", ".join(map(str, source.files)), documents_in(source)) for source in table.sources]
    if table.hub is not None:
        documents = [(table.hub, documents_of(table))]
    return PassageRows(lines_at(folder, documents, encoder), sources, encoder, table.max_length)


def masking(encoder: TextEncoder, pad_id: int, table: CorpusTable) -> MaskingCollate:
    """Returns the collator that masks words of a batch."""
    around = encoder.tokenizer.encode("a", "a")
    known = [token for token, special in zip(around.ids, around.special_tokens_mask, strict=True) if special]
    return MaskingCollate(pad_id, encoder.mask_id, [*known, pad_id], encoder.tokenizer.get_vocab_size(), table.masked)


def pad_id_of(encoder: TextEncoder) -> int:
    """Returns the id of padding, or 0 if the vocabulary has no padding token, as in transformers."""
    return padding_token_in(encoder.tokenizer.get_vocab()) or 0
