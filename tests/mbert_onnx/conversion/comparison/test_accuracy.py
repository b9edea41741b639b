"""The centred error and the agreement, on numbers small enough to work out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mbert_onnx.conversion.comparison.accuracy import Comparison, agreement_text, nonfinite_output
from mbert_onnx.conversion.damage import measure_damage
from mbert_onnx.errors import PrecisionError
from mbert_onnx.text.tasks import task_named

ALL = np.ones((2, 2), int)


def compare(task: str, found: Mapping[str, Any], judge: Mapping[str, Any], mask: Any = ALL) -> Comparison:
    comparison = Comparison(task_named(task))
    arrays = [{name: np.array(values, float) for name, values in side.items()} for side in (found, judge)]
    comparison.add(arrays[0], arrays[1], np.array(mask))
    return comparison


# The error


def test_the_error_is_relative_to_how_much_the_judge_varies() -> None:
    # Around its mean (2, 20) the judge is (∓1, ∓10): a norm of √202. The difference is (0, 1).
    judge = {"logits": [[1, 10], [3, 30]]}
    found = {"logits": [[1, 10], [3, 31]]}
    assert compare("text-classification", found, judge).error() == pytest.approx(1 / math.sqrt(202))


def test_the_mean_is_that_of_each_channel() -> None:
    """One mean for all would count the distance between channels as variation, and make every error look small."""
    judge = {"logits": [[0, 1000], [1, 1001]]}
    found = {"logits": [[0, 1000], [1, 1002]]}
    assert compare("text-classification", found, judge).error() == pytest.approx(1.0)


def test_an_offset_is_an_error() -> None:
    judge, found = {"logits": [[0, 0], [2, 0]]}, {"logits": [[5, 0], [7, 0]]}
    assert compare("text-classification", found, judge).error() == pytest.approx(5.0)


def test_equal_outputs_have_no_error() -> None:
    logits = {"logits": [[1, 2], [3, 4]]}
    assert compare("text-classification", logits, logits).error() == 0.0


def test_the_worst_output_counts() -> None:
    judge = {"start_logits": [[0, 2], [0, 2]], "end_logits": [[0, 2], [0, 2]]}
    found = {"start_logits": [[0, 2], [0, 2]], "end_logits": [[0, 2], [0, 3]]}
    comparison = compare("qa", found, judge)
    assert comparison.errors() == {"start_logits": 0.0, "end_logits": pytest.approx(0.5)}
    assert comparison.error() == pytest.approx(0.5)


def test_batches_are_one_set_of_rows() -> None:
    comparison = Comparison(task_named("text-classification"))
    for judge, found in [(0.0, 0.0), (2.0, 3.0)]:
        comparison.add({"logits": np.array([[found]])}, {"logits": np.array([[judge]])}, np.ones((1, 1)))
    # Each batch alone does not vary at all; together they are ∓1 around 1.
    assert comparison.error() == pytest.approx(1 / math.sqrt(2))


def test_padding_is_not_compared() -> None:
    judge = {"logits": [[[0], [2]], [[4], [0]]]}
    found = {"logits": [[[0], [2]], [[4], [777]]]}
    assert compare("ner", found, judge, [[1, 1], [1, 0]]).error() == 0.0
    assert compare("ner", found, judge).error() > 1


def test_rows_without_a_token_are_not_compared() -> None:
    judge, found = {"logits": [[0, 1], [4, 0], [9, 9]]}, {"logits": [[0, 1], [4, 0], [0, 777]]}
    comparison = compare("text-classification", found, judge, [[1, 1], [1, 0], [0, 0]])
    assert comparison.error() == 0.0
    assert comparison.agreement() == 1.0


def test_empty_choices_are_not_compared() -> None:
    judge, found = {"logits": [[0, 1], [4, 9]]}, {"logits": [[0, 1], [4, 777]]}
    mask = [[[1, 1], [1, 0]], [[1, 0], [0, 0]]]
    assert compare("multiple-choice", found, judge, mask).error() == 0.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("side", ["found", "judge"])
def test_what_is_not_finite_has_no_error(bad: float, side: str) -> None:
    good, broken = {"logits": [[0, 1], [2, 3]]}, {"logits": [[0, 1], [2, bad]]}
    found, judge = (broken, good) if side == "found" else (good, broken)
    assert math.isnan(compare("text-classification", found, judge).error())


def test_an_output_that_is_not_finite_is_named_unless_it_is_padding() -> None:
    task, mask = task_named("qa"), np.array([[1, 1], [1, 0]])
    outputs = {"start_logits": np.array([[0.0, 1.0], [2.0, -math.inf]]), "end_logits": np.zeros((2, 2))}
    assert nonfinite_output(task, outputs, mask) is None
    outputs["end_logits"][0, 1] = math.nan
    assert nonfinite_output(task, outputs, mask) == "end_logits is NaN or infinite in 1 of 3 values"


def test_a_judge_that_is_not_finite_is_not_blamed_on_the_precision() -> None:
    task, feed = task_named("text-classification"), {"attention_mask": np.ones((2, 3), np.int64)}
    broken, fine = {"logits": np.array([[1.0], [math.nan]])}, {"logits": np.ones((2, 1))}
    with pytest.raises(PrecisionError, match="the model's own logits is NaN or infinite in 1 of 2 values on the"):
        measure_damage(lambda _: broken, lambda _: broken, [feed], task, precision="fp16", calibration="x")
    damage = measure_damage(lambda _: fine, lambda _: broken, [feed], task, precision="fp16", calibration="x")
    assert not damage.passed
    assert damage.nonfinite == ["logits"]


@pytest.mark.filterwarnings("error")  # numpy's would reach the user's terminal
def test_hidden_states_that_are_not_finite() -> None:
    good = {"last_hidden_state": [[[0.0], [1.0]], [[2.0], [3.0]], [[5.0], [4.0]]]}
    broken = {"last_hidden_state": [[[0.0], [1.0]], [[2.0], [3.0]], [[5.0], [math.inf]]]}
    comparison = compare("feature-extraction", broken, good, [[1, 1], [1, 1], [1, 0]])
    assert comparison.error() == 0.0  # it is padding that is not finite
    assert comparison.agreement() == 1.0
    comparison = compare("feature-extraction", broken, good, np.ones((3, 2), int))
    assert math.isnan(comparison.error())
    assert 0 <= comparison.agreement() <= 1


def test_one_output_that_is_not_finite_outweighs_the_others() -> None:
    judge = {"start_logits": [[0, 2], [0, 2]], "end_logits": [[0, 2], [0, 2]]}
    found = {"start_logits": [[0, math.nan], [0, 2]], "end_logits": [[9, 2], [0, 2]]}
    assert math.isnan(compare("qa", found, judge).error())


def test_constant_outputs_are_met_exactly_or_missed() -> None:
    judge = {"logits": [[5, 5], [5, 5]]}
    assert compare("text-classification", judge, judge).error() == 0.0
    assert compare("text-classification", {"logits": [[5, 5], [5, 6]]}, judge).error() == math.inf


# The agreement


def test_a_text_s_label_is_a_decision() -> None:
    judge, found = {"logits": [[0, 1], [1, 0]]}, {"logits": [[0, 9], [0, 1]]}
    assert compare("text-classification", found, judge).agreement() == 0.5


def test_each_token_s_tag_is_a_decision() -> None:
    judge = {"logits": [[[0, 1], [0, 1]], [[0, 1], [0, 1]]]}
    found = {"logits": [[[0, 1], [1, 0]], [[0, 1], [1, 0]]]}
    assert compare("ner", found, judge).agreement() == 0.5
    assert compare("ner", found, judge, [[1, 1], [1, 0]]).agreement() == pytest.approx(2 / 3)


def test_start_and_end_of_an_answer_are_a_decision_each() -> None:
    judge = {"start_logits": [[0, 2], [0, 2]], "end_logits": [[0, 2], [0, 2]]}
    found = {"start_logits": [[3, 2], [0, 2]], "end_logits": [[0, 2], [0, 2]]}
    assert compare("qa", found, judge).agreement() == 0.75


def test_an_answer_is_not_looked_for_in_padding() -> None:
    judge = {"start_logits": [[0, 1, 9]], "end_logits": [[0, 1, 9]]}
    found = {"start_logits": [[9, 1, 0]], "end_logits": [[0, 1, 0]]}
    assert compare("qa", found, judge, [[1, 1, 0]]).agreement() == 0.5


def test_the_choice_is_a_decision() -> None:
    judge, found = {"logits": [[0, 1], [1, 0]]}, {"logits": [[0, 1], [0, 1]]}
    assert compare("multiple-choice", found, judge, np.ones((2, 2, 3), int)).agreement() == 0.5


def test_the_nearest_text_is_a_decision() -> None:
    """Four texts in two pairs; in `found` the second and third have changed places, so each has a new neighbour."""
    points = {"a": [1, 0], "b": [0.9, 0.1], "c": [-1, 0], "d": [-0.9, 0.1]}
    judge = {"last_hidden_state": [[points[name]] for name in "abcd"]}
    found = {"last_hidden_state": [[points[name]] for name in "acbd"]}
    mask = np.ones((4, 1), int)
    assert compare("feature-extraction", judge, judge, mask).agreement() == 1.0
    assert compare("feature-extraction", found, judge, mask).agreement() == 0.0


def test_what_all_texts_share_does_not_decide_who_is_near() -> None:
    points = np.array([[[1, 0]], [[0.8, 0.2]], [[-1, 0]], [[-0.8, 0.2]]])
    judge, found = {"last_hidden_state": points}, {"last_hidden_state": points + np.array([0, 3])}
    assert compare("feature-extraction", found, judge, np.ones((4, 1), int)).agreement() == 1.0


def test_texts_are_pooled_over_their_tokens_only() -> None:
    points = [[1, 0], [0.9, 0.1], [-1, 0], [-0.9, 0.1]]
    judge = {"last_hidden_state": [[point, [0, 0]] for point in points]}
    found = {"last_hidden_state": [[point, [50 * n, 7 - n]] for n, point in enumerate(points)]}
    assert compare("feature-extraction", found, judge, [[1, 0]] * 4).agreement() == 1.0


def test_two_texts_have_no_neighbours_to_tell() -> None:
    states = {"last_hidden_state": [[[1, 0]], [[0, 1]]]}
    assert compare("feature-extraction", states, states, [[1], [1]]).agreement() == 1.0


@pytest.mark.parametrize(
    ("share", "decisions", "text"),
    [
        (1.0, 16, "100.0 % of 16 decisions equal"),
        (0.5, 1, "50.0 % of 1 decision equal"),
        (0.9988, 12_345, "99.9 % of 12,345 decisions equal"),
        (1.0, 0, "no decisions to compare"),
    ],
)
def test_an_agreement_has_its_number_of_decisions(share: float, decisions: int, text: str) -> None:
    assert agreement_text(share, decisions) == text
