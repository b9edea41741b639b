"""Check of a text file's tokenizer: its Tokenize node returns what `tokenizers` does, for all code points and texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from tokenizers import Tokenizer

from graphs.functions.text.tables.row_options import Truncation
from graphs.functions.text_file.detach import tokenize_model
from graphs.model.loading import read_model
from mbert_onnx.conversion.verification.tokens.code_points import POINTS, SURROUNDINGS, block_count, check_code_points
from mbert_onnx.conversion.verification.tokens.differences import compare_rows, compare_tokens
from mbert_onnx.conversion.verification.tokens.digest_cache import DigestCache
from mbert_onnx.conversion.verification.tokens.node import TokenizeNode
from mbert_onnx.conversion.verification.tokens.random_texts import Text, text_classes
from mbert_onnx.conversion.verification.tokens.reference import Reference
from mbert_onnx.conversion.verification.tokens.rows import Rows
from mbert_onnx.conversion.verification.tokens.texts import Texts
from mbert_onnx.errors import MbertError, VerificationError
from mbert_onnx.text import builtin_sentences
from mbert_onnx.text.tokenizer import TokenizerSettings, library_errors, read_tokenizer

# Difficult texts of each class.
PER_CLASS = 200
# Lengths to which texts are truncated, beside the model's own.
LENGTHS = (8, 16, 40, 128)
# Texts that are truncated, or cut into windows, for each length; a long one has this many of them, but at most so many
# characters for each token of the length.
TRUNCATED, TEXTS_IN_LONG, CHARACTERS = 32, 6, 6
# Tokens that adjacent windows share, beside the default, which is at most `DEFAULT_STRIDE`.
STRIDE, DEFAULT_STRIDE = 3, 128


@dataclass(frozen=True)
class TextVerdict:
    """Result of the check of a tokenizer; a difference that is not permitted is an error instead.

    Args:
        operator: The operator that tokenizes.
        code_points: Number of code points that were compared.
        surroundings: Number of texts around each.
        texts: Number of texts or pairs that were compared: difficult ones, and the given or built-in ones.
        shortened: Number of texts or pairs that were truncated, or cut into windows.
        permitted: Number of tokens whose offsets differ as documented: `tokenizers` loses track of characters that NFD
            reorders.
        kernels: Whether all was compared with the native kernel, too.
        cached: Whether the expected tokens of the code points were known from an earlier check.
        seconds: Duration.
    """

    operator: str
    code_points: int
    surroundings: int
    texts: int
    shortened: int
    permitted: int
    kernels: bool
    cached: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        permitted = ""
        if self.permitted:
            offsets = "1 offset differs" if self.permitted == 1 else f"{self.permitted:,} offsets differ"
            permitted = f"; {offsets} as documented, where NFD reorders characters"
        kernels = ", with the native kernel, too" if self.kernels else ""
        return (
            f"ids, types, offsets and masks are those of tokenizers{kernels}: "
            f"{self.code_points:,} code points in {self.surroundings} surroundings, {self.texts:,} texts, "
            f"{self.shortened:,} shortened ones{permitted}; {self.seconds:.1f} s"
        )


def check_text(
    file: Path | ir.Model,
    tokenizer: Path | Tokenizer,
    *,
    name: str | None = None,
    segments: int | None = None,
    prompt: Sequence[int] = (),
    texts: Sequence[tuple[str, str | None]] = (),
    library: Path | None = None,
    seed: int = 0,
) -> TextVerdict:
    """Compares the tokens of a text file with those of `tokenizers`, and counts the differences that are permitted.

    The node that tokenizes runs alone, with the body of its function; with `library` also with the native kernel, if
    the library has one.

    Args:
        file: The text file, or its model.
        tokenizer: The tokenizer.json, which is read with the settings beside it as the runtime does; or a tokenizer,
            such as `backend_tokenizer` of one of transformers.
        name: The name of the file in messages; default: the file's.
        segments: The number of token types of the model; larger types become the last. None: as many as needed.
        prompt: Ids of the tokens of a prompt before each text.
        texts: Texts and pairs of texts to compare beside the difficult ones; default: built-in sentences.
        library: Native kernels.
        seed: Seed of the difficult texts.

    Raises:
        VerificationError: something differs; the message names the text or code point, what was found and expected.
        BundleError: the tokenizer cannot be read.
        graphs.errors.GraphError: the file is no text file, or a text file cannot have this tokenizer.
    """
    model = file if isinstance(file, ir.Model) else read_model(file)
    shown = name or (file.name if isinstance(file, Path) else "the text file")
    if isinstance(tokenizer, Path):
        path = tokenizer
        tokenizer = read_tokenizer(path)
        settings = TokenizerSettings.beside(path, tokenizer)
        settings.apply(tokenizer)
        segments = segments if settings.token_types else 1
    return check_node(
        ir.serde.serialize_model(tokenize_model(model)),
        Reference(tokenizer, segments=segments, prompt=prompt),
        name=shown,
        texts=texts,
        library=library,
        seed=seed,
    )


def check_node(
    model: onnx.ModelProto,
    reference: Reference,
    *,
    name: str,
    texts: Sequence[tuple[str, str | None]] = (),
    library: Path | None = None,
    seed: int = 0,
    points: np.ndarray = POINTS,
) -> TextVerdict:
    """Compares a model of a Tokenize node alone, as `check_text` does. `points` are the code points; default: all."""
    started = time.perf_counter()
    nodes = [TokenizeNode.of(model, name)]
    nodes += [] if library is None else [TokenizeNode.of(model, f"{name} with the native kernel", library)]
    found = [node for node in nodes if node is not None]
    with library_errors(_unable):
        cache = DigestCache(reference, block_count(points))
        known = cache.read()
        digests = check_code_points(found, reference, known, points)
        if digests != known:
            cache.write(digests)
        check = _Check(found, reference, _texts(texts), seed)
        check.whole()
        check.shortened()
    return TextVerdict(
        operator=found[0].form.value,
        code_points=len(points),
        surroundings=len(SURROUNDINGS),
        texts=check.texts,
        shortened=check.shortened_texts,
        permitted=check.permitted,
        kernels=len(found) > 1,
        cached=known is not None and digests == known,
        seconds=round(time.perf_counter() - started, 2),
    )


def _unable(error: BaseException) -> MbertError:
    return VerificationError(f"`tokenizers` fails: {error}")


def _texts(given: Sequence[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Returns the texts that are given, or built-in ones."""
    return list(given) or [*((text, None) for text in builtin_sentences.texts()), *builtin_sentences.questions()]


@dataclass
class _Check:
    """The comparison of texts, with all nodes.

    `texts` and `shortened_texts` are the numbers of those that were compared, `permitted` that of offsets that differ
    as documented.
    """

    nodes: list[TokenizeNode]
    reference: Reference
    given: list[tuple[str, str | None]]
    seed: int
    texts: int = 0
    shortened_texts: int = 0
    permitted: int = 0

    def whole(self) -> None:
        """Compares rows of difficult texts, and of the given ones, at the model's own length."""
        classes = text_classes(self.reference.settings)
        drawn = [text for one in classes for text in one.texts(self.seed, 0, PER_CLASS)]
        others = [text for one in reversed(classes) for text in one.texts(self.seed, 1, PER_CLASS)]
        if self._form.has_pair:
            singles = [text for text, pair in self.given if pair is None]
            given = [(text, pair) for text, pair in self.given if pair is not None]
            given += zip(singles, [*singles[1:], *singles[:1]], strict=True)
            self._rows([*zip(drawn, others, strict=True), *given], self._limit)
        else:
            self._rows([(text, "") for text in [*drawn, *self._singles()]], self._limit)

    def shortened(self) -> None:
        """Compares rows of long texts, truncated to several lengths or cut into windows, by the node's own form."""
        singles = self._singles()
        count = min(TRUNCATED, len(singles))
        longs = [" ".join(singles[(i + j) % len(singles)] for j in range(TEXTS_IN_LONG)) for i in range(count)]
        if self._form.has_pair:
            asked = [*singles[:count]]
            rows: list[tuple[Text, Text]] = list(zip(asked, longs, strict=True))
            if self._windowed == 0 or (self._windowed is None and self._truncation is Truncation.ONLY_TEXT):
                rows = [(long, short) for short, long in rows]
            elif self._windowed is None and self._truncation is Truncation.LONGEST_FIRST:
                rows += [(long, short) for short, long in rows]
        else:
            rows = [(long, "") for long in longs]
        least = self.reference.special(pair=self._form.has_pair) + 2
        for length in sorted({length for length in (*LENGTHS, self._limit) if least <= length <= self._limit}):
            # Much longer ones would take long: `tokenizers` makes rows of all that it cuts.
            most = CHARACTERS * length
            self._rows([(text[:most], other[:most]) for text, other in rows], length, shortened=True)

    @property
    def _form(self) -> Any:
        return self.nodes[0].form

    @property
    def _limit(self) -> int:
        return self.nodes[0].limit

    @property
    def _windowed(self) -> int | None:
        return self.nodes[0].windowed

    @property
    def _truncation(self) -> Truncation:
        return Truncation(self.nodes[0].attributes["truncation"])

    def _singles(self) -> list[str]:
        return [text for one in self.given for text in one if text is not None]

    def _rows(self, rows: Sequence[tuple[Text, Text]], length: int, *, shortened: bool = False) -> None:
        """Compares the rows of texts, whose second is empty in forms without pairs, at a length.

        Pairs that `tokenizers` refuses to truncate are left out: the whole one of both leaves no room for the other.
        """
        pair, windowed = self._form.has_pair, self._windowed
        room = length - self.reference.special(pair=pair)
        texts = Texts.of([text for text, _ in rows])
        pairs = Texts.of([other for _, other in rows]) if pair else None
        counts = [
            np.bincount(self.reference.tokens(one).texts, minlength=len(rows))
            for one in (texts, pairs)
            if one is not None
        ]
        whole = self._whole_sequence
        width = np.full(len(rows), room) if whole is None else room - counts[whole]
        chosen = np.flatnonzero(width > 0)
        strides: list[tuple[int, int]] = [(0, 0)]
        if windowed is not None:
            default = min(DEFAULT_STRIDE, length // 2)
            strides = [(-1, default), (STRIDE, STRIDE)]
        for given, stride in strides:
            some = chosen if windowed is None else chosen[width[chosen] > stride]
            if not len(some):
                continue
            part = [one.chosen(some) for one in (texts, pairs) if one is not None]
            expected = self._expected(part, length, stride)
            # A body reads a plain text that is alone in another way than a batch.
            permitted = [
                compare_rows(
                    node.rows(*part, max_length=length, stride=given, alone=alone),
                    expected,
                    *_two(part),
                    self.reference,
                    node.name,
                )
                for node in self.nodes
                for alone in ((False, True) if given == strides[0][0] else (False,))
            ]
            if given == strides[0][0]:  # with another stride, the same tokens are in other rows
                self.permitted += max(permitted)
            if shortened:
                totals = np.sum(counts, axis=0)[some]
                self.shortened_texts += int((totals > room).sum())
            elif given == strides[0][0]:
                self.texts += len(some)
                if windowed is None:  # then tokens that do not fit into a row are in none
                    part = [one.chosen(np.flatnonzero(np.sum(counts, axis=0) <= room)) for one in (texts, pairs) if one]
                self._tokens(part)

    def _tokens(self, part: list[Texts]) -> None:
        """Compares all tokens of texts, and the words that they are part of.

        Offsets that differ as documented have been counted in rows.
        """
        expected = [self.reference.tokens(one) for one in part]
        for node in self.nodes:
            first, second, _ = node.tokens(*part)
            for found, wanted, one in zip([first, *second], expected, part, strict=True):
                compare_tokens(found, wanted, one, self.reference, node.name)

    @property
    def _whole_sequence(self) -> int | None:
        """The sequence of a pair that is never cut: 0 or 1; None if both are, or there is one."""
        if not self._form.has_pair:
            return None
        if self._windowed is not None:
            return 1 - self._windowed
        return {Truncation.ONLY_TEXT: 1, Truncation.ONLY_PAIR: 0}.get(self._truncation)

    def _expected(self, part: list[Texts], length: int, stride: int) -> Rows:
        if self._windowed is not None:
            return self.reference.windows(*part, max_length=length, stride=stride, windowed=self._windowed)
        left = bool(self.nodes[0].attributes["truncation_side"])
        truncation = self._truncation or Truncation.LONGEST_FIRST
        return self.reference.rows(*part, max_length=length, truncation=truncation, cut_left=left)


def _two(part: list[Texts]) -> tuple[Texts, Texts | None]:
    return part[0], part[1] if len(part) > 1 else None
