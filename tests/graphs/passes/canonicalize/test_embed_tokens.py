"""The embeddings: the trigram's neighbours, the positions, and the order of the sum."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import Arrays, Text, becomes, constant, graph, leaves_alone, random_feed, same_numbers, structure

from graphs.model.shape_inference import infer_sizes
from graphs.passes.canonicalize.embed_tokens import MOST_SEGMENTS, EmbedTokens

# x[:, 1:] and a row of zeros, x, a row of zeros and x[:, :-1].
TRIGRAM = Text("""(float[b, s, 4] words) => (float[b, s, 12] y)
    <int64[1] first = {1}, int64[1] far = {9223372036854775807}, int64[1] start = {0}, int64[1] last = {-1},
     int64[1] axis = {1}, int64[1] back = {-2}, int64[1] one = {1}, int64[6] after = {0, 0, 0, 0, 1, 0},
     int64[6] before = {0, 1, 0, 0, 0, 0}, float zero = {0.0}, float two = {2.0}>
    { cut = Slice(words, first, far, axis) following = Pad(cut, after, zero)
      cut2 = Slice(words, start, last, axis) previous = Pad(cut2, before, zero)
      y = Concat <axis = 2> (following, words, previous) }""")
ONCE = """both = Pad(words, trigram_pads) following = Slice(both, trigram_bound, trigram_bound_2, trigram_axis)
    previous = Slice(both, trigram_bound_3, trigram_bound_4, trigram_axis)
    y = Concat <axis = {axis}> (following, words, previous)"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("(words, first, far, axis)", "(words, first, far, back, one)"),
        ("Concat <axis = 2>", "Concat <axis = -1>"),
        ("Pad(cut, after, zero)", "Pad(cut, after)"),
        ("Pad(cut, after, zero)", 'Pad <mode = "constant"> (cut, after, zero)'),
        ("9223372036854775807", "2147483647"),
    ],
)
def test_neighbours_are_padded_once(old: str, new: str) -> None:
    before = graph(TRIGRAM.replace(old, new))
    after = becomes(EmbedTokens(), before, ONCE.format(axis=-1 if new.endswith("-1>") else 2))
    assert constant(after, "trigram_pads").tolist() == [0, 1, 0, 0, 1, 0]
    for length in (1, 2, 9):
        words = np.random.default_rng(0).normal(size=(2, length, 4)).astype(np.float32)
        same_numbers(before, after, {"words": words})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("(following, words, previous)", "(previous, words, following)", id="the other order"),
        pytest.param("(following, words, previous)", "(following, words, following)", id="one of them twice"),
        pytest.param("(following, words, previous)", "(following, previous, words)", id="words last"),
        pytest.param("Pad(cut, after, zero)", "Pad(cut, after, two)", id="padded with another number"),
        pytest.param("Pad(cut, after, zero)", 'Pad <mode = "edge"> (cut, after)', id="padded with the edge"),
        pytest.param("Pad(cut, after, zero)", "Pad(cut, before, zero)", id="padded on the other side"),
        pytest.param("Slice(words, first, far, axis)", "Slice(words, start, last, axis)", id="cut on the other side"),
        pytest.param("int64[1] start = {0}", "int64[1] start = {-9}", id="another start"),
        pytest.param("(words, first, far, axis)", "(other, first, far, axis)", id="of something else"),
    ],
)
def test_other_neighbours_are_not_modified(old: str, new: str) -> None:
    written = TRIGRAM.replace(old, new)
    if "other" in new:
        written = written.replace("{ cut =", "{ other = Neg(words) cut =")
    leaves_alone(EmbedTokens(), graph(written))


def test_a_fill_that_an_input_gives_may_be_anything() -> None:
    written = TRIGRAM.replace("float zero = {0.0}, ", "").replace("words)", "words, float zero)", 1)
    leaves_alone(EmbedTokens(), graph(written))


def test_steps_that_an_input_gives_may_be_anything() -> None:
    written = TRIGRAM.replace("int64[1] one = {1}, ", "").replace("words)", "words, int64[1] one)", 1)
    written = written.replace("(words, first, far, axis)", "(words, first, far, axis, one)")
    before = graph(written)
    rng = np.random.default_rng(0)
    feed: Arrays = {"words": rng.normal(size=(2, 5, 4)).astype(np.float32), "one": np.array([1])}
    after = before.clone()
    assert not EmbedTokens()(after).modified
    same_numbers(before, after, feed)


def test_neighbours_along_another_axis_are_not_modified() -> None:
    written = TRIGRAM.replace("axis = 2> (f", "axis = 1> (f").replace("[b, s, 12] y", "[b, t, 4] y")
    leaves_alone(EmbedTokens(), graph(written))


def test_a_neighbour_that_something_else_reads_stays_for_it() -> None:
    written = TRIGRAM.replace("=> (", "=> (float[b, s, 4] z, ").replace("y = Concat", "z = Neg(following) y = Concat")
    becomes(
        EmbedTokens(),
        graph(written),
        f"cut = Slice(words, first, far, axis) f = Pad(cut, after, zero) z = Neg(f) {ONCE.format(axis=2)}",
    )


# Words, positions and types, of 3 numbers; 9 positions, 2 types.
SUM = Text("""(float[b, s, 5] x, int64[b, s] token_type_ids) => (float[b, s, 3] y)
    <float[5, 3] W, float[3] bias, float[9, 3] positions, float[2, 3] types,
     int64[1, 9] every = {0, 1, 2, 3, 4, 5, 6, 7, 8}, int64[9] flat = {0, 1, 2, 3, 4, 5, 6, 7, 8}, int64[1] start = {0},
     int64[1] axis = {1}, int64[1] rows = {0}, int64[1] one = {1}, int64[1] any = {-1}>
    { end = Shape <start = 1, end = 2> (x) product = MatMul(x, W) words = Add(product, bias)
      PLACE type = Gather(types, token_type_ids) SUM }""")
PLACE = "ids = Slice(every, start, end, axis) place = Gather(positions, ids)"
ADDED = "a = Add(words, place) y = Add(a, type)"
ORDERED = """end = Shape <start = 1, end = 2> (x) product = MatMul(x, W) words = Add(product, bias)
    type = Gather(types, token_type_ids) place = Slice(positions, positions_start, end, positions_axis)
    both = Add(type, place) y = Add(words, both)"""


def summed(added: str = ADDED, place: str = PLACE) -> Text:
    return SUM.replace("SUM", added).replace("PLACE", place)


@pytest.mark.parametrize(
    "added",
    [
        ADDED,
        "a = Add(words, type) y = Add(a, place)",
        "a = Add(type, place) y = Add(words, a)",
        "a = Add(place, words) y = Add(type, a)",
    ],
)
def test_positions_and_types_are_added_first(added: str) -> None:
    becomes(EmbedTokens(), graph(summed(added)), ORDERED)


@pytest.mark.parametrize(
    "place",
    [
        "ids = Slice(flat, start, end, rows) place = Gather(positions, ids)",
        "ids = Slice(flat, start, end, rows, one) place = Gather <axis = 0> (positions, ids)",
        "place = Slice(positions, start, end, rows)",
    ],
)
def test_positions_may_be_looked_up_in_several_ways(place: str) -> None:
    becomes(EmbedTokens(), graph(summed(place=place)), ORDERED)


def test_positions_of_a_fixed_length() -> None:
    before = graph(summed(place="place = Gather(positions, every)").replace("[b, s", "[b, 9"))
    after = becomes(
        EmbedTokens(),
        before,
        """product = MatMul(x, W) words = Add(product, bias) type = Gather(types, token_type_ids)
        place = Slice(positions, positions_start, positions_end, positions_axis)
        both = Add(type, place) y = Add(words, both)""",
    )
    assert constant(after, "positions_end").tolist() == [9]


def test_what_is_in_order_stays_so() -> None:
    before = summed("a = Add(type, place) y = Add(words, a)", "place = Slice(positions, start, end, rows)")
    leaves_alone(EmbedTokens(), graph(before))


def test_a_constant_shift_goes_to_the_words() -> None:
    before = graph(summed("a = Add(place, bias) c = Add(a, type) y = Add(c, words)"))
    after = before.clone()
    assert EmbedTokens()(after).modified
    same_numbers(before, after)
    leaves_alone(EmbedTokens(), after)


NO_WORDS = ["a sum with positions and token types has other summands than words and a bias"]


@pytest.mark.parametrize(
    ("added", "reasons"),
    [
        pytest.param("a = Add(words, place) y = Sub(a, type)", [], id="a difference"),
        pytest.param("a = Add(words, place) y = Add(a, place)", [], id="positions twice"),
        pytest.param("a = Add(words, type) y = Add(a, type)", [], id="types twice"),
        pytest.param("y = Add(place, type)", [], id="no words"),
        pytest.param("y = Add(words, type)", [], id="no positions"),
        pytest.param(
            "r = Relu(words) a = Add(words, place) c = Add(a, type) y = Add(c, r)", NO_WORDS, id="two streams"
        ),
    ],
)
def test_other_sums_are_not_modified(added: str, reasons: list[str]) -> None:
    before = graph(summed(added))
    leaves_alone(EmbedTokens(), before)
    step = EmbedTokens()
    step(before)
    assert [miss.reason for miss in step.misses] == reasons


@pytest.mark.parametrize("output", ["a", "words"])
def test_a_sum_that_something_else_reads_stays(output: str) -> None:
    before = graph(summed().replace("(float[b, s, 3] y)", f"(float[b, s, 3] y, float[b, s, 3] {output})"))
    after = before.clone()
    EmbedTokens()(after)
    same_numbers(before, after)


def test_words_of_one_text_for_all_are_no_words() -> None:
    """The types then make the sum as large as it is."""
    leaves_alone(EmbedTokens(), graph(summed().replace("float[b, s, 5] x", "float[1, s, 5] x")))


MOVED = "end1 = Add(end, one) ids = Slice(every, one, end1, axis) place = Gather(positions, ids)"
BACKWARDS = """reversed = Slice(every, last, low, axis, minus) ids = Slice(reversed, start, end, axis)
    place = Gather(positions, ids)"""
SECOND = "end2 = Add(end, end) ids = Slice(every, start, end2, axis, two) place = Gather(positions, ids)"
COLUMNS = """ids = Slice(every, start, end, axis) looked = Gather <axis = 1> (sideways, ids)
    place = Transpose <perm = [1, 2, 0]> (looked)"""


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(MOVED, id="from the second on"),
        pytest.param(BACKWARDS, id="backwards"),
        pytest.param(SECOND, id="every second"),
        pytest.param(COLUMNS, id="columns"),
        pytest.param("ids = Slice(some, start, end, axis) place = Gather(positions, ids)", id="another order"),
        pytest.param("ids = Slice(fewer, start, end, axis) place = Gather(positions, ids)", id="fewer of them"),
        pytest.param(
            "ids0 = Slice(every, start, end, axis) ids = Add(ids0, one) place = Gather(positions, ids)", id="sums"
        ),
        pytest.param("ids = Slice(every, start, end, axis) p = Gather(positions, ids) place = Neg(p)", id="negative"),
        pytest.param("place = Slice(positions, start, end, rows, given)", id="a step that an input gives"),
    ],
)
def test_other_positions_are_not_modified(place: str) -> None:
    constants = """int64[1, 9] some = {1, 0, 2, 3, 4, 5, 6, 7, 8}, int64[1, 8] fewer = {0, 1, 2, 3, 4, 5, 6, 7},
        int64[1] last = {-1}, int64[1] low = {-100}, int64[1] minus = {-1}, int64[1] two = {2}, float[3, 9] sideways"""
    written = summed(place=place).replace("b, s", "b, 4").replace("int64[1] any", f"{constants}, int64[1] any")
    before = graph(written.replace("token_type_ids)", "token_type_ids, int64[1] given)", 1))
    after, feed = before.clone(), {**random_feed(before), "given": np.array([1])}
    assert not EmbedTokens()(after).modified
    assert structure(after) == structure(before)
    same_numbers(before, after, feed)


def test_a_large_table_is_one_of_words() -> None:
    leaves_alone(EmbedTokens(), graph(summed().replace("float[2, 3] types", f"float[{MOST_SEGMENTS + 1}, 3] types")))


def test_ids_in_another_form_are_those_of_an_input() -> None:
    written = summed().replace("int64[b, s] token", "int32[b, s] token")
    cast = "c = Cast <to = 7> (token_type_ids) type = Gather(types, c)"
    before = graph(written.replace("type = Gather(types, token_type_ids)", cast))
    after = before.clone()
    assert EmbedTokens()(after).modified
    same_numbers(before, after)


def test_a_sum_in_a_branch_is_left_to_it() -> None:
    written = summed("""a = Add(words, place)
        y = If (yes) <then_branch = t () => (float[b, s, 3] p) { p = Add(a, type) },
            else_branch = e () => (float[b, s, 3] q) { q = Neg(a) }>""")
    leaves_alone(EmbedTokens(), graph(written.replace("token_type_ids)", "token_type_ids, bool yes)", 1)))


@pytest.mark.parametrize(
    ("cut", "cut2"),
    [
        # TensorFlow names all axes before the one that it cuts.
        ("Slice(words, first0, far2, axes2)", "Slice(words, start2, last2, axes2)"),
        ("Slice(words, first0, far2, axes2, ones)", "Slice(words, start, last, axis)"),
    ],
)
def test_neighbours_may_be_cut_along_several_axes(cut: str, cut2: str) -> None:
    written = TRIGRAM.replace("Slice(words, first, far, axis)", cut).replace("Slice(words, start, last, axis)", cut2)
    constants = """<int64[2] first0 = {0, 1}, int64[2] far2 = {2147483647, 2147483647}, int64[2] axes2 = {0, 1},
        int64[2] start2 = {0, 0}, int64[2] last2 = {2147483647, -1}, int64[2] ones = {1, 1}, """
    becomes(EmbedTokens(), graph(written.replace("<", constants, 1)), ONCE.format(axis=2))


def test_a_batch_that_is_cut_as_well_is_another_thing() -> None:
    written = TRIGRAM.replace("Slice(words, first, far, axis)", "Slice(words, both, far2, axes2)")
    constants = "<int64[2] both = {1, 1}, int64[2] far2 = {2147483647, 2147483647}, int64[2] axes2 = {0, 1}, "
    leaves_alone(EmbedTokens(), graph(written.replace("<", constants, 1)))


@pytest.mark.parametrize(
    "place",
    [
        "all = Range(none, count, step) place = Gather(positions, all)",
        "all = Range(none, count, step) i = Unsqueeze(all, rows) place = Gather(positions, i)",
    ],
)
def test_positions_may_be_counted(place: str) -> None:
    written = summed(place=f"count = Squeeze(end) {place}").replace(
        "<float[5, 3]", "<int64 none, int64 step, float[5, 3]"
    )
    for none, step in ((0, 1), (1, 1), (0, 2)):
        before = graph(written, none=np.array(none), step=np.array(step))
        infer_sizes(before)
        after = before.clone()
        EmbedTokens()(after)
        counted = any(node.op_type == "Range" for node in after.graph)
        assert counted == ((none, step) != (0, 1)), (none, step)
        if not counted:
            same_numbers(before, after)


ONE_HOT = Text("""(int64[b, s] ids) => (float[b, s, 3] y) <float[4, 3] table, int64 depth = {4},
    float[2] values = {0.0, 1.0}, int64[1] flat = {-1}, int64[3] whole = {-1, 7, 3}>
    { ROWS chosen = OneHot(i, depth, values) y = MatMul(chosen, table) }""")


def test_one_hot_vectors_times_a_table_are_a_lookup() -> None:
    before = graph(ONE_HOT.replace("ROWS", "i = Identity(ids)"))
    feed: Arrays = {"ids": np.array([[0, 3, 1], [2, 2, 0]])}
    becomes(EmbedTokens(), before, "i = Identity(ids) y = Gather(table, i)", feed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{0.0, 1.0}", "{0.0, 2.0}"),
        ("OneHot(", "OneHot <axis = 0> ("),
    ],
)
def test_other_one_hot_products_stay(old: str, new: str) -> None:
    written = ONE_HOT.replace("ROWS", "i = Identity(ids)").replace(old, new)
    leaves_alone(EmbedTokens(), graph(written.replace("[b, s]", "[4, 4]").replace("[b, s, 3]", "[4, 4, 3]")))


def test_ids_in_one_row_are_looked_up_in_their_own_shape() -> None:
    before = graph("""(int64[b, 7] ids) => (float[b, 7, 3] y) <float[4, 3] table, int64[1] flat = {-1},
        int64[3] whole = {-1, 7, 3}> { i = Reshape(ids, flat) w = Gather(table, i) y = Reshape(w, whole) }""")
    becomes(EmbedTokens(), before, "y = Gather(table, ids)", {"ids": np.arange(14).reshape(2, 7) % 4})
