"""Check of a text file's tokenizer: equal tokens pass, a wrong entry is found, permitted differences are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from text_functions import NORMALIZERS, trained
from tokenizers import Tokenizer

from graphs.functions.text.function import text_model
from graphs.functions.text.tables.row_options import Form, RowOptions, Truncation
from graphs.functions.text.tables.tables import Tables, make_tables
from graphs.kernels import library
from mbert_onnx.conversion.verification import text_check
from mbert_onnx.conversion.verification.text_check import TextVerdict, check_node
from mbert_onnx.conversion.verification.tokens import digest_cache
from mbert_onnx.conversion.verification.tokens.code_points import BLOCK, POINTS
from mbert_onnx.conversion.verification.tokens.differences import ADVICE, compare_tokens
from mbert_onnx.conversion.verification.tokens.node import TokenizeNode
from mbert_onnx.conversion.verification.tokens.reference import Reference
from mbert_onnx.conversion.verification.tokens.texts import Texts
from mbert_onnx.errors import VerificationError

# Two blocks of code points, and few texts: all take seconds.
SOME_POINTS = POINTS[: BLOCK + 100]
SOME_TEXTS = [("a bad cab, deaf and feeble", "Which cab? The bad one."), ("plain", None)] * 4
# A mark that strip_accents keeps, and NFD puts behind the next one.
SORTED = "a\u302e\u302a"


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few texts: more take seconds."""
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text_check, "PER_CLASS", 10)
    monkeypatch.setattr(text_check, "TRUNCATED", 4)


@cache
def tokenizer() -> Tokenizer:
    return trained("latin", size=300)


@cache
def tables() -> Tables:
    return make_tables(Reference(tokenizer()).settings)


def model(form: Form = Form.TEXT, options: RowOptions | None = None, **changed: np.ndarray) -> onnx.ModelProto:
    """A model of the node alone, with tables that are changed."""
    found = text_model(form, tables(), options or RowOptions(limit=60))
    for tensor in found.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(changed[tensor.name], tensor.name))
    return found


def check(given: onnx.ModelProto, reference: Reference | None = None) -> TextVerdict:
    return check_node(
        given, reference or Reference(tokenizer()), name="model_text.onnx", texts=SOME_TEXTS, points=SOME_POINTS
    )


def with_class(point: int, other: int) -> np.ndarray:
    """The classes of code points, where one has the class of another."""
    blocks, classes, shift = tables().arrays["blocks"], tables().arrays["classes"].copy(), tables().shift
    places = [(int(blocks[c >> shift]) << shift) + (c & ((1 << shift) - 1)) for c in (point, other)]
    classes[places[0]] = classes[places[1]]
    return classes


FORMS = {
    "text": (Form.TEXT, RowOptions(limit=60)),
    "text cut on its left": (Form.TEXT, RowOptions(limit=60, cut_left=True)),
    "one length": (Form.TEXT, RowOptions(limit=20, columns=20)),
    "pair": (Form.PAIR, RowOptions(limit=60)),
    "pair of one length": (Form.PAIR, RowOptions(limit=60, columns=60, truncation=Truncation.ONLY_PAIR)),
    "windows": (Form.WINDOWS, RowOptions(limit=60)),
    "windows of the pair": (Form.PAIR_WINDOWS, RowOptions(limit=60)),
    "windows of the text": (Form.PAIR_WINDOWS, RowOptions(limit=60, windowed=0)),
    "rows of a few tokens": (Form.TEXT, RowOptions(limit=5)),
}


@pytest.mark.parametrize("name", FORMS)
def test_equal_tokens(name: str) -> None:
    form, options = FORMS[name]
    verdict = check(model(form, options))
    assert (verdict.operator, verdict.code_points, verdict.surroundings) == (form.value, 4196, 3)
    assert verdict.texts > 100
    assert verdict.shortened >= 4 or options.limit == 5
    assert f"4,196 code points in 3 surroundings, {verdict.texts:,} texts" in str(verdict)


def test_words_that_continue_without_a_prefix() -> None:
    content = json.loads(tokenizer().to_str())
    content["model"]["continuing_subword_prefix"] = ""
    reference = Reference(Tokenizer.from_str(json.dumps(content)))
    assert check(text_model(Form.TEXT, make_tables(reference.settings), RowOptions(limit=60)), reference).texts > 100


def test_a_wrong_class_is_found_by_its_code_point() -> None:
    with pytest.raises(VerificationError) as error:
        check(model(classes=with_class(0xE9, ord("!"))))
    assert str(error.value).startswith("model_text.onnx: U+00E9 between spaces gives the ids ")
    assert str(error.value).endswith(f"expected {tokenizer().token_to_id('e')} as of `tokenizers`; {ADVICE}")


def test_a_code_point_that_is_wrong_in_words_only() -> None:
    """White space and a dropped character are the same between spaces."""
    with pytest.raises(VerificationError, match=r"U\+00AD between the letters a and b gives the ids"):
        check(model(classes=with_class(0xAD, ord(" "))))


def test_a_wrong_id_is_found_in_a_text() -> None:
    entries = tables().arrays["entries"].copy()
    entries[entries == tokenizer().token_to_id("e")] += 1
    with pytest.raises(VerificationError, match=r"^model_text.onnx: .* gives the ids .*, expected .* as of"):
        check(model(entries=entries))


def test_other_settings_than_those_of_the_tokenizer() -> None:
    changed = replace(tables().settings, single=tables().settings.single[1:])
    wrong = text_model(Form.TEXT, replace(tables(), settings=changed), RowOptions(limit=60))
    with pytest.raises(VerificationError, match="gives the ids"):
        check(wrong)
    padded = model()
    next(one for one in padded.graph.node[0].attribute if one.name == "padding").i = 7
    with pytest.raises(VerificationError, match="is not 7 behind the end of a row"):
        check(padded)


def test_a_model_of_one_token_type_and_a_prompt() -> None:
    with pytest.raises(VerificationError, match="gives the token types"):
        check(model(Form.PAIR), Reference(tokenizer(), segments=1))
    check(model(Form.PAIR, RowOptions(limit=60, segments=1)), Reference(tokenizer(), segments=1))
    with pytest.raises(VerificationError, match="gives the ids"):
        check(model(), Reference(tokenizer(), prompt=[7, 8]))


def test_expected_tokens_are_kept(tmp_path: Path) -> None:
    assert not check(model()).cached
    assert check(model()).cached
    [file] = (tmp_path / "cache" / "tokenizers").iterdir()
    kept = json.loads(file.read_text())
    for content in ("{", '{"digests": ["a"]}', json.dumps({"digests": ["a", "b"]})):
        file.write_text(content)
        assert not check(model()).cached
        assert json.loads(file.read_text()) == kept
    assert digest_cache.DigestCache(Reference(trained("latin", size=301)), 2).read() is None


def test_a_wrong_file_is_found_with_kept_tokens() -> None:
    check(model())
    with pytest.raises(VerificationError, match=r"U\+00E9 between spaces"):
        check(model(classes=with_class(0xE9, ord("!"))))


def test_few_tokenizers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_cache, "KEPT", 2)
    for size in (300, 301, 302):
        digest_cache.DigestCache(Reference(trained("latin", size=size)), 2).write(["a", "b"])
    assert len(list((tmp_path / "cache" / "tokenizers").iterdir())) == 2


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert not check(model()).cached


def test_permitted_differences_are_counted() -> None:
    reference = Reference(tokenizer())
    permitted = check_node(model(), reference, name="f", texts=[(SORTED, None)] * 9, points=SOME_POINTS)
    plain = check_node(model(), reference, name="f", texts=[("plain", None)] * 9, points=SOME_POINTS)
    assert permitted.permitted > plain.permitted
    assert "offsets differ as documented, where NFD reorders characters" in str(permitted)


def test_other_differences_of_offsets_are_not_permitted() -> None:
    reference, texts = Reference(tokenizer()), Texts.of(["one two", f"one {SORTED}", "one e\u0301a"])
    tokens = reference.tokens(texts)
    assert compare_tokens(tokens, tokens, texts, reference, "f") == 0
    for text in (0, 2):
        spans = tokens.spans.copy()
        spans[np.flatnonzero(tokens.texts == text)[-1]] += 1
        with pytest.raises(VerificationError, match="gives the offsets of token"):
            compare_tokens(replace(tokens, spans=spans), tokens, texts, reference, "f")
    spans = tokens.spans.copy()
    spans[np.flatnonzero(tokens.texts == 1)[-1], 1] -= 1
    assert compare_tokens(replace(tokens, spans=spans), tokens, texts, reference, "f") == 1


def test_no_reordering_where_nothing_is_decomposed() -> None:
    cased = Reference(trained("latin", size=300, options=NORMALIZERS["cased"]))
    assert not cased.permits(SORTED.encode(), 0, len(SORTED.encode()))


def test_the_native_kernel_is_checked_where_there_is_one() -> None:
    kernels = library()
    if kernels is None:
        pytest.skip("this installation has no kernels")
    native = TokenizeNode.of(model(), "f", kernels)
    verdict = check_node(model(), Reference(tokenizer()), name="f", library=kernels, points=SOME_POINTS)
    assert verdict.kernels == (native is not None)


def test_invalid_bytes_have_the_places_of_pythons_decoder() -> None:
    texts = Texts.of([b"a\xe2\x82b\xff", "\u00e9".encode(), b"", b"\xef\xbf\xbd"])
    assert texts.strings == ["a\ufffdb\ufffd", "\u00e9", "", "\ufffd"]
    assert texts.places.tolist() == [0, 1, 3, 4, 5, 0, 2, 0, 0, 3]
    assert Texts.of(texts.strings).places.tolist() == [0, 1, 4, 5, 8, 0, 2, 0, 0, 3]


@pytest.mark.full
@pytest.mark.parametrize("form", Form)
def test_all_code_points(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    verdict = check_node(model(form, RowOptions(limit=512)), Reference(tokenizer()), name="f")
    assert verdict.code_points == 1_112_064
