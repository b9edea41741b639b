"""Batching of texts for a text file: several texts share a run where that does not change what it returns for each.

All texts of a run are padded to the longest row, and a file may quantize with one step for all tokens of a run. So a
file is tried once on parts of two texts, as a model file is on parts of two rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np

from mbert_onnx.runtime.jobs import batching
from mbert_onnx.runtime.jobs.batching import ROUNDING
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.text_files.file import Outputs, TextFile
from mbert_onnx.text.tasks import MASKED, MULTIPLE_CHOICE, TOKEN_CLASSIFICATION

# The input that says where each text begins, for each input with bytes of several texts.
SPLITS = {"text": "row_splits", "pair": "pair_splits", "context": "context_splits"}

# Bytes of a token, which limit a run: the tokens themselves are known inside of the file only.
BYTES_PER_TOKEN = 4

# Bytes of the two texts on which a file is tried.
TRIED_BYTES = (24, 96)

Data = tuple[np.ndarray, ...]


class TextRunner:
    """Runs texts through a file, each alone or with others of similar length.

    Args:
        file: The file.
        names: Its inputs with bytes.
        options: Its other inputs.
        max_length: Tokens of a row; None for the usual number.
        stride: Overlap of windows in tokens; None for the usual one.
    """

    def __init__(
        self,
        file: TextFile,
        names: Sequence[str],
        options: dict[str, np.ndarray],
        *,
        max_length: int | None,
        stride: int | None,
    ) -> None:
        self._file, self._names, self._options = file, names, options
        self._lengths = {"max_length": max_length, "stride": stride}

    def run(self, texts: Sequence[Data], statistics: BatchStatistics) -> Iterator[tuple[int, Outputs]]:
        """Yields the number of each text and the file's outputs for it, as if it had been alone; shortest first.

        Raises what `TextFile.run` raises.
        """
        for numbers in self._batches(texts):
            start = perf_counter()
            found = self._outputs([texts[number] for number in numbers])
            statistics.model += perf_counter() - start
            statistics.runs += 1
            statistics.rows += len(numbers)
            yield from zip(numbers, found, strict=True)

    def _batches(self, texts: Sequence[Data]) -> Iterator[list[int]]:
        """Yields the numbers of texts that run together."""
        sizes = [sum(map(len, text)) for text in texts]
        order = sorted(range(len(texts)), key=sizes.__getitem__)
        if len(texts) < 2 or not self._shares_runs(texts[order[0]], texts[order[-1]]):
            yield from ([number] for number in order)
            return
        budget, batch = batching.TOKENS_PER_RUN * BYTES_PER_TOKEN, list[int]()
        for number in order:
            if batch and (len(batch) + 1) * sizes[number] > budget:
                yield batch
                batch = []
            batch.append(number)
        yield batch

    def _shares_runs(self, first: Data, last: Data) -> bool:
        """Returns whether texts may share a run; tries it at the first call.

        The words for masks are not shared: an LM head in 8 bits has one step for all tokens of a run.
        """
        file = self._file
        takes_several = all(SPLITS[name] in file.inputs for name in self._names)
        if not takes_several or file.record.task in (*MASKED, MULTIPLE_CHOICE):
            return False
        if file.shares_runs is None:
            tried = [tuple(part[:most] for part in text) for text, most in zip((first, last), TRIED_BYTES, strict=True)]
            alone = [self._outputs([text])[0] for text in tried]
            file.shares_runs = all(map(_same, self._outputs(tried), alone))
        return file.shares_runs

    def _outputs(self, texts: Sequence[Data]) -> list[Outputs]:
        """Returns the outputs of one run for each text."""
        if self._file.record.task is MULTIPLE_CHOICE:
            [[prompt, *choices]] = texts
            splits = {"choice_splits": np.cumsum([0, *map(len, choices)])}
            return [self._run({"text": prompt, "choices": np.concatenate(choices), **splits})]
        feeds = dict[str, np.ndarray]()
        for name, parts in zip(self._names, zip(*texts, strict=True), strict=True):
            feeds[name] = np.concatenate(parts)
            if len(texts) > 1:
                feeds[SPLITS[name]] = np.cumsum([0, *map(len, parts)])
        found = self._run(feeds)
        return [found] if len(texts) == 1 else [self._of_text(found, number) for number in range(len(texts))]

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._file.run({**feeds, **self._options}, **self._lengths)

    def _of_text(self, found: dict[str, np.ndarray], number: int) -> Outputs:
        """Returns the outputs of one text of a run: its row, or those of its tokens and entities."""
        if self._file.record.task is not TOKEN_CLASSIFICATION:
            return {name: value[number : number + 1] for name, value in found.items()}
        texts = {name: "entity_texts" if name.startswith("entit") else "texts" for name in found}
        return {name: value[found[texts[name]] == number] for name, value in found.items()}


def _same(found: Outputs, alone: Outputs) -> bool:
    """Returns whether outputs are equal, and numbers differ by rounding only; the number of a text does not count."""
    return all(_near(found[name], value) for name, value in alone.items() if not name.endswith("texts"))


def _near(found: np.ndarray, alone: np.ndarray) -> bool:
    # Answers have as many columns as the context of a run with the most.
    found = found[tuple(slice(size) for size in alone.shape)]
    largest = max(np.abs(alone).max(initial=0.0), 1.0)
    return found.shape == alone.shape and bool(np.abs(found - alone).max(initial=0.0) <= ROUNDING * largest)
