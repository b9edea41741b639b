"""Tokens of many texts at once: a text that cannot be read gives its error in its place, and the others their tokens.

`tokenizers` takes a list of texts in one call, on all cores unless the environment variable TOKENIZERS_PARALLELISM is
`false`, and without offsets where only ids are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mbert_onnx.errors import MbertError
from mbert_onnx.text.encoder import Row, TextEncoder, Tokens, check_text

T = TypeVar("T")


def ids_of(encoder: TextEncoder, texts: Sequence[Any], name: str = "text") -> list[list[int] | MbertError]:
    """Returns the ids of each text without special tokens, or the error that `TextEncoder.tokens` raises for it."""
    return _encoded(encoder, texts, name, encoder.tokenizer.encode_batch_fast, encoder.checked_ids)


def tokens_of(encoder: TextEncoder, texts: Sequence[Any], name: str = "text") -> list[Tokens | MbertError]:
    """Returns the tokens of each text, or the error that `TextEncoder.tokens` raises for it. Equal texts share them."""
    unique = list(dict.fromkeys(text for text in texts if isinstance(text, str)))
    found = _encoded(encoder, unique, name, encoder.tokenizer.encode_batch, encoder.tokens_in)
    by_text = dict(zip(unique, found, strict=True))
    return [by_text[text] if isinstance(text, str) else _refusal(text, name) for text in texts]


def truncated_rows(
    encoder: TextEncoder, texts: Sequence[Any], pairs: Sequence[Any]
) -> list[tuple[Row, bool] | MbertError]:
    """Returns what `TextEncoder.truncated` returns for each text and its pair, or None, or the error that it raises."""
    first = ids_of(encoder, texts)
    given = [pair for pair in pairs if pair is not None]
    second = iter(ids_of(encoder, given, "second text"))
    return [
        attempted(lambda *ids: encoder.truncated_row(*ids), one, None if pair is None else next(second))
        for one, pair in zip(first, pairs, strict=True)
    ]


def attempted(function: Callable[..., T], *values: Any) -> T | MbertError:
    """Calls a function; returns the error that it raises, or the first one among its arguments."""
    for value in values:
        if isinstance(value, MbertError):
            return value
    try:
        return function(*values)
    except MbertError as error:
        return error


def _encoded(
    encoder: TextEncoder,
    texts: Sequence[Any],
    name: str,
    encode: Callable[..., list[Any]],
    read: Callable[[Any, str, str], T],
) -> list[T | MbertError]:
    """Returns what `read` makes of each encoding, or an error in its place."""
    errors = [_error(text, name) for text in texts]
    good = [text for text, error in zip(texts, errors, strict=True) if error is None]
    if len(good) > 1:
        try:
            encodings = encode(good, add_special_tokens=False)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # `tokenizers` raises Exception itself, or a panic, for all texts if it cannot read one
            encodings = [attempted(encoder.encode, text) for text in good]
    else:
        encodings = [attempted(encoder.encode, text) for text in good]
    found = iter(zip(encodings, good, strict=True))
    return [attempted(read, *next(found), name) if error is None else error for error in errors]


def _error(text: object, name: str) -> MbertError | None:
    """Returns why a text is refused before it is tokenized; an error in its place is that of an earlier step."""
    found = text if isinstance(text, MbertError) else attempted(check_text, text, name)
    return found if isinstance(found, MbertError) else None


def _refusal(text: object, name: str) -> MbertError:
    """Returns the error of what is no text."""
    found = _error(text, name)
    assert found is not None
    return found
