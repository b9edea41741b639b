"""Feeds for any graph: random texts, constant ones, the example of a trace."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, graph

from graphs.execution.inputs.declared import inputs_of_graph
from graphs.execution.inputs.feeds import COMPARED, compared_feeds, example_sizes, feeds_that_run, verified_feeds
from graphs.execution.inputs.limits import InputLimits
from graphs.execution.inputs.shapes import BATCH, CHOICES, LENGTH
from graphs.execution.runner import runner
from graphs.model.embeddings import FEWEST_ROWS


def taking(inputs: str) -> ir.Model:
    """A model of these inputs, which computes nothing of interest."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> g ({inputs}) => () {{ }}')
    return ir.from_proto(proto)


def text_feeds(model: ir.Model, seed: int = 0) -> list[Arrays]:
    inputs = inputs_of_graph(model)
    return compared_feeds(inputs, InputLimits.of_graph(model, inputs), seed)


def shapes(inputs: str) -> dict[str, tuple[int, ...]]:
    (feed,) = text_feeds(taking(inputs))
    return {name: array.shape for name, array in feed.items()}


BERT = "int64[b, s] input_ids, int64[b, s] attention_mask, int64[b, s] token_type_ids"


def test_texts_have_every_length_up_to_the_first_which_is_full() -> None:
    feeds = text_feeds(taking(BERT))
    assert [feed["input_ids"].shape for feed in feeds] == list(COMPARED)
    for feed in feeds:
        mask = feed["attention_mask"]
        assert set(np.unique(mask)) <= {0, 1}
        assert mask[0].all()
        assert mask[:, 0].all()
        assert (np.diff(mask, axis=1) <= 0).all(), "padding stands at the end"
    assert any((feed["attention_mask"] == 0).any() for feed in feeds)


def test_segments_are_those_of_two_texts() -> None:
    (feed, *_) = text_feeds(taking(BERT))
    half = COMPARED[0][1] // 2
    assert not feed["token_type_ids"][:, :half].any()
    assert feed["token_type_ids"][:, half:].all()


def test_ids_are_of_the_table_and_use_it() -> None:
    text = """(int64[b, s] input_ids) => (float[b, s, 2] y)
        <float[200, 2] table> { y = Gather(table, input_ids) }"""
    ids = np.concatenate([feed["input_ids"].ravel() for feed in text_feeds(graph(text))])
    assert FEWEST_ROWS < ids.max() < 200
    assert ids.min() >= 0


def test_without_a_table_ids_are_of_every_vocabulary() -> None:
    ids = np.concatenate([feed["input_ids"].ravel() for feed in text_feeds(taking(BERT))])
    assert ids.max() < FEWEST_ROWS


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_types_are_those_of_the_model(dtype: str) -> None:
    for feed in text_feeds(taking(BERT.replace("int64", dtype))):
        assert {array.dtype for array in feed.values()} == {np.dtype(dtype)}


def test_the_mask_may_be_of_another_type_than_ids() -> None:
    inputs = "int64[b, s] input_ids, float[b, s] attention_mask"
    (feed, *_) = text_feeds(taking(inputs))
    assert feed["attention_mask"].dtype == np.float32
    assert set(np.unique(feed["attention_mask"])) <= {0.0, 1.0}


def test_a_mask_of_another_rank_keeps_its_shape() -> None:
    (feed, *_) = text_feeds(taking("int64[b, s] input_ids, float[b, 1, 1, s] attention_mask"))
    assert feed["attention_mask"].shape == (3, 1, 1, 23)
    assert set(np.unique(feed["attention_mask"])) <= {0.0, 1.0}
    (feed, *_) = text_feeds(taking("int64[b, s] input_ids, float[b, 1, s, s] attention_mask"))
    assert feed["attention_mask"].shape == (3, 1, 23, 23)


def test_a_fixed_shape_is_tried_once() -> None:
    feeds = text_feeds(taking(BERT.replace("b, s", "1, 16")))
    assert [{name: array.shape for name, array in feed.items()} for feed in feeds] == [
        dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), (1, 16))
    ]


@pytest.mark.parametrize(("shape", "expected"), [("b, 16", (3, 16)), ("1, s", (1, 23)), ("b, c, s", (3, 2, 23))])
def test_half_fixed_shapes_and_choices(shape: str, expected: tuple[int, ...]) -> None:
    feed = text_feeds(taking(BERT.replace("b, s", shape)))[0]
    assert {array.shape for array in feed.values()} == {expected}
    assert feed["attention_mask"].reshape(-1, expected[-1])[:, 0].all()


def test_positions_and_other_inputs_beside_texts() -> None:
    feeds = text_feeds(taking(f"int64[b, s] position_ids, {BERT}, float[b, s, 8] extra, float[4] fixed"))
    assert [feed["position_ids"].shape for feed in feeds] == list(COMPARED)
    assert [feed["extra"].shape for feed in feeds] == [(*text, 8) for text in COMPARED]
    assert {feed["fixed"].shape for feed in feeds} == {(4,)}


@pytest.mark.parametrize("dim", ["b", "n", "-1"])
def test_an_input_with_a_number_for_each_text_may_come_first(dim: str) -> None:
    # As in Google's exports for SQuAD: unique_ids_raw_output___9.
    feeds = text_feeds(taking(f"int64[{dim}] unique_ids, {BERT}, int64[{dim}] labels"))
    for feed, text in zip(feeds, COMPARED, strict=True):
        assert {array.shape for array in feed.values()} == {text, text[:1]}
        assert feed["unique_ids"].shape == feed["labels"].shape == text[:1]


def test_inputs_that_are_not_texts() -> None:
    assert shapes("float[n, 4] x") == {"x": (BATCH, 4)}
    assert shapes("float[b, s, 4] x") == {"x": (BATCH, LENGTH, 4)}
    assert shapes("float[n] x, float z") == {"x": (LENGTH,), "z": ()}
    assert shapes("float[b, c, h, w] x") == {"x": (BATCH, CHOICES, CHOICES, LENGTH)}
    assert shapes("float[1, 3, 8, 8] x") == {"x": (1, 3, 8, 8)}


def test_dimensions_of_one_name_have_one_size() -> None:
    assert shapes("float[n, 8] x, float[1, n] mask, float[n] z") == {"x": (BATCH, 8), "mask": (1, BATCH), "z": (BATCH,)}


def test_types_of_inputs_that_are_not_texts() -> None:
    (feed,) = text_feeds(taking("float16[n, 4] h, double[n, 4] d, bool[n, 4] b, int8[n, 4] i, uint8[n, 4] u"))
    assert [array.dtype.name for array in feed.values()] == ["float16", "float64", "bool", "int8", "uint8"]
    assert set(np.unique(feed["i"])) == {0, 1}


def test_inputs_that_have_a_value_need_none() -> None:
    model = taking("float[n, 4] x, float[4] c")
    model.graph.inputs[1].const_value = ir.tensor(np.zeros(4, np.float32), name="c")
    model.graph.initializers["c"] = model.graph.inputs[1]
    assert list(text_feeds(model)[0]) == ["x"]


def test_feeds_are_the_same_every_time_and_others_for_another_seed() -> None:
    model = taking(f"{BERT}, float[b, s] extra")
    one, same, other = text_feeds(model), text_feeds(model), text_feeds(model, seed=1)
    for name in ("input_ids", "attention_mask", "extra"):
        np.testing.assert_array_equal(one[0][name], same[0][name])
    assert any((one[0][name] != other[0][name]).any() for name in ("input_ids", "extra"))


@pytest.mark.parametrize("positions", [512, 64, 40, 16, 4, 1])
def test_a_model_of_few_positions_is_compared_at_the_lengths_that_it_has(positions: int) -> None:
    text = f"""(int64[b, s] input_ids) => (float[b, s, 2] y)
        <float[100, 2] table, float[{positions}, 2] places,
         int64 one = {{1}}, int64[1] start = {{0}}, int64 zero = {{0}}>
        {{
            embedded = Gather(table, input_ids)
            shape = Shape(input_ids)
            length = Gather(shape, one)
            range = Range(zero, length, one)
            place = Gather(places, range)
            y = Add(embedded, place)
        }}"""
    model = graph(text)
    feeds, outputs = feeds_that_run(model, runner(model))
    lengths = [feed["input_ids"].shape[1] for feed in feeds]
    assert lengths == [min(23, positions), min(64, positions)]
    assert [found["y"].shape[1] for found in outputs] == lengths


def test_segments_of_a_model_that_has_one() -> None:
    model = graph("""(int64[b, s] input_ids, int64[b, s] token_type_ids) => (float[b, s, 2] y)
        <float[100, 2] table, float[1, 2] types>
        { e = Gather(table, input_ids) t = Gather(types, token_type_ids) y = Add(e, t) }""")
    assert not any(feed["token_type_ids"].any() for feed in text_feeds(model))


def test_positions_count_from_0() -> None:
    (feed, *_) = text_feeds(taking(f"{BERT}, int64[b, s] position_ids"))
    np.testing.assert_array_equal(feed["position_ids"][1], np.arange(23))


# Verification


def test_verified_lengths_are_those_that_fit() -> None:
    """Texts of other lengths are padded to the next multiple."""
    feeds = list(verified_feeds(InputLimits(lengths=range(8, 65, 8)), has_choices=False, seed=0))
    assert {feed["input_ids"].shape[1] for feed in feeds} == {8, 24, 64}
    assert {1, 23, 64} <= {int(feed["attention_mask"].sum(-1).max()) for feed in feeds}


def test_without_a_mask_no_text_is_padded() -> None:
    for lengths in (range(1, 41), range(8, 65, 8), range(16, 17)):
        feeds = list(verified_feeds(InputLimits(lengths=lengths), has_choices=False, seed=0, padding=False))
        assert feeds
        assert all(feed["attention_mask"].all() for feed in feeds)


@pytest.mark.parametrize("positions", [512, 5, 4, 3, 2])
def test_sizes_of_a_traced_example_differ_and_fit(positions: int) -> None:
    sizes = example_sizes(positions)
    assert len(set(sizes.values())) == len(sizes)
    assert min(sizes.values()) > 1
    assert sizes["sequence"] <= positions
