"""The rows of all sources of a job as one stream of chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mbert_onnx.prediction.reading.blocks import Block
from mbert_onnx.prediction.reading.delimited import delimited_blocks
from mbert_onnx.prediction.reading.json_lines import json_blocks
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.parquet import parquet_blocks
from mbert_onnx.prediction.reading.sources import CSV, JSONL, LINES, PARQUET, TSV, Source
from mbert_onnx.prediction.types import BadRow, Chunk, Position

START = Position()

_BLOCKS: dict[str, Callable[[Source, Layout, int], Iterator[Block]]] = {
    CSV: delimited_blocks,
    TSV: delimited_blocks,
    LINES: delimited_blocks,
    JSONL: json_blocks,
    PARQUET: parquet_blocks,
}


def read(sources: Sequence[Source], layout: Layout, start: Position = START) -> Iterator[Chunk]:
    """Yields the rows behind `start` in chunks of a few seconds of work; each chunk is of one source.

    Only the current block is in memory. Raises DataError where a source cannot be read.
    """
    number = 0
    for index in range(start.source, len(sources)):
        source = sources[index]
        skip = start.records if index == start.source else 0
        for block in _BLOCKS[source.format](source, layout, skip):
            yield Chunk(
                number=number,
                file=source.name,
                end=Position(index, block.records),
                arguments=block.arguments,
                rows=block.rows,
                lines=block.lines,
                bad=[BadRow(source.name, line, reason) for line, reason in block.bad],
                bytes_read=block.bytes_read,
            )
            number += 1
