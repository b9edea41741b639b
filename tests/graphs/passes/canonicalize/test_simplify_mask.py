"""The attention mask: known by what it does, however it is computed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, Text, becomes, constant, graph, leaves_alone, run, same_numbers

from graphs.passes.canonicalize.simplify_mask import SimplifyMask

LOWEST = float(np.finfo(np.float32).min)

# Scores, their mask, and what attention does with them.
ATTENTION = """(float[b, 2, s, s] scores, int64[b, s] attention_mask) => (float[b, 2, s, s] y)
    <float one = {{1.0}}, float lowest = {{{lowest}}}, float zero = {{0.0}}, float little = {{-100.0}},
     float half = {{0.5}}, int64[2] axes = {{1, 2}}, int64[1] unit = {{1}}, int64 none = {{0}}, int64 step = {{1}},
     int64 at = {{1}}, int64 window = {{64}}, int64 wider = {{512}}>
    {{ {bias} masked = Add({operands}) y = Softmax(masked) }}"""

AFTER = """real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, mask_axes) padded = Sub(one_2, wide)
    bias = Mul(padded, padding) masked = Add({operands}) y = Softmax(masked)"""

# transformers 4, until torch's attention.
MULTIPLIED = """real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide)
    bias = Mul(padded, lowest)"""
# As torch's attention has it.
CHOSEN = """kept = Cast <to = 9> (attention_mask) wide = Unsqueeze(kept, axes) bias = Where(wide, zero, lowest)"""
# With a dimension for the rows of scores.
EXPANDED = """kept = Cast <to = 9> (attention_mask) wide = Unsqueeze(kept, axes)
    shape = Shape(attention_mask) rows = Shape <end = 1> (attention_mask) length = Shape <start = 1> (attention_mask)
    target = Concat <axis = 0> (rows, unit, length, length)
    full = Expand(wide, target) bias = Where(full, zero, lowest)"""
# Who is a token is looked up.
GATHERED = """kept = Cast <to = 9> (attention_mask) flat = Transpose(kept) back = Transpose(flat)
    length = Shape <start = 1> (attention_mask) count = Squeeze(length) all = Range(none, count, step)
    looked = Gather <axis = 1> (back, all) wide = Unsqueeze(looked, axes) bias = Where(wide, zero, lowest)"""


def text(bias: str, lowest: float = LOWEST, operands: str = "scores, bias") -> Text:
    return Text(ATTENTION.format(bias=bias, operands=operands, lowest=repr(lowest)))


def feed(rows: int = 3, length: int = 6) -> Arrays:
    """Masks of all kinds, but none without a token."""
    rng = np.random.default_rng(1)
    mask = rng.integers(0, 2, (rows, length))
    mask[:, 2] = 1
    mask[0] = 1
    scores = rng.normal(size=(rows, 2, length, length)).astype(np.float32)
    return {"scores": scores, "attention_mask": mask}


@pytest.mark.parametrize("operands", ["scores, bias", "bias, scores"])
@pytest.mark.parametrize("lowest", [LOWEST, -10000.0])
@pytest.mark.parametrize(
    "bias",
    [
        pytest.param(MULTIPLIED, id="a product"),
        pytest.param(CHOSEN, id="a choice"),
        pytest.param(EXPANDED, id="a row for each token"),
        pytest.param(GATHERED, id="a lookup"),
    ],
)
def test_a_mask_of_padding(bias: str, lowest: float, operands: str) -> None:
    after = becomes(SimplifyMask(), graph(text(bias, lowest, operands)), AFTER.format(operands=operands), feed())
    assert constant(after, "padding").item() == LOWEST / 2
    assert constant(after, "one.2").item() == 1


def test_minus_infinity_becomes_finite() -> None:
    before = graph(text(CHOSEN).replace(f"float lowest = {{{LOWEST!r}}}", "float lowest"), lowest=np.array(-np.inf))
    after = before.clone()
    assert SimplifyMask()(after).modified
    same_numbers(before, after, feed())
    unseen: Arrays = {**feed(), "attention_mask": np.zeros((3, 6), np.int64)}
    assert np.isnan(run(before, unseen)["y"]).all()
    np.testing.assert_allclose(run(after, unseen)["y"], 1 / 6, rtol=1e-6)


def test_all_layers_get_one() -> None:
    before = graph("""(float[b, 2, s, s] scores, int64[b, s] attention_mask) => (float[b, 2, s, s] y)
        <float one = {1.0}, float lowest = {-10000.0}, float zero = {0.0}, int64[2] axes = {1, 2}>
        { real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide)
          bias = Mul(padded, lowest) kept = Cast <to = 9> (attention_mask) there = Unsqueeze(kept, axes)
          bias2 = Where(there, zero, lowest) masked = Add(scores, bias) p = Softmax(masked)
          q = MatMul(p, scores) masked2 = Add(q, bias2) p2 = Softmax <axis = 3> (masked2)
          masked3 = Add(p2, bias) y = Softmax(masked3) }""")
    becomes(
        SimplifyMask(),
        before,
        """real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, mask_axes) padded = Sub(one_2, wide)
        bias = Mul(padded, padding) masked = Add(scores, bias) p = Softmax(masked)
        q = MatMul(p, scores) masked2 = Add(q, bias) p2 = Softmax <axis = 3> (masked2)
        masked3 = Add(p2, bias) y = Softmax(masked3)""",
        feed(),
    )


def test_a_bias_that_something_else_reads_stays_for_it() -> None:
    written = text(MULTIPLIED).replace("=> (", "=> (float[b, 1, 1, s] other, ", 1)
    before = graph(written.replace("masked = Add", "other = Neg(bias) masked = Add"))
    after = before.clone()
    assert SimplifyMask()(after).modified
    same_numbers(before, after, feed())
    assert len([node for node in after.graph if node.op_type == "Mul"]) == 2


# Tensors that are not padding masks, and the reported reasons.
CHANGES = "the tensor added to the scores is not a padding mask: it changes the scores of tokens"
LETS_IN = "the tensor added to the scores is not a padding mask: it lets padding in, with {}; expected at most -9999"
KEPT = "kept = Cast <to = 9> (attention_mask) wide = Unsqueeze(kept, axes)"
PLACES = """length = Shape <start = 1> (attention_mask) count = Squeeze(length) all = Range(none, count, step)
    column = Unsqueeze(all, unit)"""
OTHERS = {
    "a triangle": (
        f"""{KEPT} {PLACES} below = LessOrEqual(all, column) both = And(wide, below)
        bias = Where(both, zero, lowest)""",
        CHANGES,
    ),
    "a window of 64": (
        f"""{KEPT} {PLACES} apart = Sub(all, column) far = Abs(apart) near = LessOrEqual(far, window)
        both = And(wide, near) bias = Where(both, zero, lowest)""",
        CHANGES,
    ),
    "a window of 512": (
        f"""{KEPT} {PLACES} apart = Sub(all, column) far = Abs(apart) near = LessOrEqual(far, wider)
        both = And(wide, near) bias = Where(both, zero, lowest)""",
        CHANGES,
    ),
    "padded rows, too": (
        """kept = Cast <to = 9> (attention_mask) wide = Unsqueeze(kept, axes)
        tall = Transpose <perm = [0, 1, 3, 2]> (wide) both = And(wide, tall) bias = Where(both, zero, lowest)""",
        CHANGES,
    ),
    "a first token that all see": (
        f"{KEPT} {PLACES} start = Equal(all, none) both = Or(wide, start) bias = Where(both, zero, lowest)",
        LETS_IN.format(0),
    ),
    "turned around": (
        """real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, axes) bias = Mul(wide, lowest)""",
        CHANGES,
    ),
    "far too little": (
        """real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide)
        bias = Mul(padded, little)""",
        LETS_IN.format(-100),
    ),
    "something for tokens": (
        """real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, axes) padded = Sub(half, wide)
        bias = Mul(padded, lowest)""",
        CHANGES,
    ),
    "the first mask for all": (
        """kept = Cast <to = 9> (attention_mask) one_row = Gather(kept, none) bias = Where(one_row, zero, lowest)""",
        LETS_IN.format(0),
    ),
    "summed up": (
        """seen = CumSum(attention_mask, at) kept = Cast <to = 9> (seen) wide = Unsqueeze(kept, axes)
        bias = Where(wide, zero, lowest)""",
        LETS_IN.format(0),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_masks_are_not_modified_and_are_reported(name: str) -> None:
    bias, reason = OTHERS[name]
    before = graph(text(bias))
    leaves_alone(SimplifyMask(), before)
    step = SimplifyMask()
    step(before)
    assert [miss.reason for miss in step.misses] == [reason]


def test_a_graph_for_few_tokens_is_not_asked_about_more() -> None:
    """A buffer of 200 positions."""
    before = graph(
        """(float[b, 2, s, s] scores, int64[b, s] attention_mask) => (float[b, 2, s, s] y)
        <float[1, 200] buffer, float one = {1.0}, float lowest = {-10000.0}, int64[2] axes = {1, 2},
         int64[1] start = {0}, int64[1] at = {1}>
        { real = Cast <to = 1> (attention_mask) size = Shape <start = 1> (attention_mask)
          part = Slice(buffer, start, size, at) same = Mul(real, part) wide = Unsqueeze(same, axes)
          padded = Sub(one, wide) bias = Mul(padded, lowest) masked = Add(scores, bias) y = Softmax(masked) }""",
        buffer=np.ones((1, 200)),
    )
    after = before.clone()
    assert SimplifyMask()(after).modified
    same_numbers(before, after, feed())


def test_a_graph_of_fixed_size_is_tried_at_that_size() -> None:
    before = graph(text(MULTIPLIED).replace("b, 2, s, s", "3, 2, 6, 6").replace("[b, s]", "[3, 6]"))
    becomes(SimplifyMask(), before, AFTER.format(operands="scores, bias"), feed(3, 6))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("int64[b, s] attention_mask", "float[b, s] attention_mask", id="floating point"),
        pytest.param("y = Softmax(masked)", "y = Softmax <axis = 2> (masked)", id="another axis"),
        pytest.param("y = Softmax(masked)", "y = Relu(masked)", id="no softmax"),
        pytest.param("y = Softmax(masked)", "p = Softmax(masked) y = Add(p, masked)", id="scores that are read again"),
        pytest.param("Add(scores, bias)", "Sub(scores, bias)", id="a difference"),
        pytest.param("Add(scores, bias)", "Mul(scores, bias)", id="a product"),
    ],
)
def test_it_leaves_alone(old: str, new: str) -> None:
    leaves_alone(SimplifyMask(), graph(text(MULTIPLIED).replace(old, new)))


def test_a_mask_of_three_dimensions_is_not_modified() -> None:
    written = text(MULTIPLIED).replace("int64[b, s] attention_mask", "int64[b, s, s] attention_mask")
    leaves_alone(SimplifyMask(), graph(written.replace("int64[2] axes = {1, 2}", "int64[1] axes = {1}")))


# Multiple choice: the mask is of the texts, one for each choice.
CHOICES = """(float[n, 2, s, s] scores, int64[b, c, s] attention_mask) => (float[n, 2, s, s] y)
    <int64[1] all = {{-1}}, float one = {{1.0}}, float lowest = {{-10000.0}}, int64[2] axes = {{1, 2}}>
    {{ length = Shape <start = 2> (attention_mask) target = Concat <axis = 0> (all, length)
       {rows} real = Cast <to = 1> (texts) wide = Unsqueeze(real, axes) padded = Sub(one, wide)
       bias = Mul(padded, lowest) masked = Add(scores, bias) y = Softmax(masked) }}"""

RESHAPED = "texts = Reshape(attention_mask, target)"
# Also read as it is, but what masks is made of it in another order.
SWAPPED = f"""{RESHAPED.replace("texts", "plain")} none = Sub(plain, plain)
    t = Transpose <perm = [1, 0, 2]> (attention_mask) swapped = Reshape(t, target) texts = Add(swapped, none)"""


def choices(rows: str) -> ir.Model:
    model = graph(Text(CHOICES.format(rows=rows)))
    for node in model.graph:
        if node.op_type == "Reshape":
            node.outputs[0].shape = ir.Shape(["n", "s"])
    return model


def choices_feed() -> Arrays:
    other = feed(rows=6)
    return {**other, "attention_mask": other["attention_mask"].reshape(2, 3, -1)}


def test_of_multiple_choice_the_mask_is_of_rows() -> None:
    before = choices(RESHAPED)
    after = becomes(
        SimplifyMask(),
        before,
        """length = Shape <start = 2> (attention_mask) target = Concat <axis = 0> (all, length)
        texts = Reshape(attention_mask, target) real = Cast <to = 1> (texts) wide = Unsqueeze(real, mask_axes)
        padded = Sub(one_2, wide) bias = Mul(padded, padding) masked = Add(scores, bias) y = Softmax(masked)""",
        choices_feed(),
    )
    assert constant(after, "padding").item() == LOWEST / 2


def test_rows_in_another_order_are_not_modified() -> None:
    before = choices(SWAPPED)
    leaves_alone(SimplifyMask(), before)
    step = SimplifyMask()
    step(before)
    assert [miss.reason for miss in step.misses] == [CHANGES]


def test_masked_scores_that_are_an_output_are_not_modified() -> None:
    written = text(MULTIPLIED).replace("=> (", "=> (float[b, 2, s, s] masked, ")
    leaves_alone(SimplifyMask(), graph(written))


def test_a_bias_that_depends_on_other_inputs_is_not_modified() -> None:
    written = text(MULTIPLIED).replace("attention_mask)", "attention_mask, float[b, s] other)", 1)
    written = written.replace("padded = Sub(one, wide)", "w = Unsqueeze(other, axes) padded = Sub(w, wide)")
    leaves_alone(SimplifyMask(), graph(written))


def test_a_bias_that_a_branch_computes_is_not_modified() -> None:
    written = text("""real = Cast <to = 1> (attention_mask) wide = Unsqueeze(real, axes) flag = Cast <to = 9> (none)
        bias = If (flag) <then_branch = t () => (float[b, 1, 1, s] p) { p = Neg(wide) },
            else_branch = e () => (float[b, 1, 1, s] q) { q0 = Sub(one, wide) q = Mul(q0, lowest) }>""")
    leaves_alone(SimplifyMask(), graph(written))


def test_a_mask_in_half_precision() -> None:
    before = graph(
        """(float16[b, 2, s, s] scores, int32[b, s] attention_mask) => (float16[b, 2, s, s] y)
        <float16 one, float16 lowest, int64[2] axes = {1, 2}>
        { real = Cast <to = 10> (attention_mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide)
          bias = Mul(padded, lowest) masked = Add(scores, bias) y = Softmax(masked) }""",
        one=np.array(1.0),
        lowest=np.array(-65504.0),
    )
    after = before.clone()
    assert SimplifyMask()(after).modified
    assert constant(after, "padding").item() == -32752
    given = feed()
    half: Arrays = {
        "scores": given["scores"].astype(np.float16),
        "attention_mask": given["attention_mask"].astype(np.int32),
    }
    np.testing.assert_array_equal(run(before, half)["y"], run(after, half)["y"])


@pytest.mark.parametrize("operands", ["masked, shift", "shift, masked"])
def test_a_number_added_to_all_scores_is_dropped(operands: str) -> None:
    written = text(MULTIPLIED).replace("y = Softmax(masked)", f"shifted = Add({operands}) y = Softmax(shifted)")
    before = graph(written.replace("<float one", "<float shift = {1e-9}, float one"))
    becomes(SimplifyMask(), before, AFTER.format(operands="scores, bias"), feed())


@pytest.mark.parametrize(
    ("shift", "size", "why"),
    [(1e-9, "2", "a number for each row"), (np.inf, "1", "infinity")],
)
def test_other_sums_before_softmax_stay(shift: float, size: str, why: str) -> None:
    before = graph(
        f"(float[b, 2, s, 2] x) => (float[b, 2, s, 2] y) <float[{size}] c> {{ z = Add(x, c) y = Softmax(z) }}",
        c=np.full(int(size), shift),
    )
    leaves_alone(SimplifyMask(), before)


def test_scores_that_are_read_with_and_without_the_number() -> None:
    before = graph("""(float[b, 2, s, s] x) => (float[b, 2, s, s] y, float[b, 2, s, s] z) <float c = {0.5}>
        { z = Add(x, c) y = Softmax(z) }""")
    becomes(SimplifyMask(), before, "y = Softmax(x) z = Add(x, c)")


def test_a_mask_with_a_small_number_at_tokens() -> None:
    bias = f"{MULTIPLIED.replace('bias =', 'low =')} bias = Add(low, little)"
    written = text(bias).replace("{-100.0}", "{1e-9}")
    becomes(SimplifyMask(), graph(written), AFTER.format(operands="scores, bias"), feed())
