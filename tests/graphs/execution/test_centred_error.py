"""The centred error, against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphs.execution.centred_error import CentredError, centred_error, largest_centred_error, real_rows

INF, NAN = math.inf, math.nan


def numbers(*rows: object) -> np.ndarray:
    return np.array(rows, np.float32)


def test_the_error_is_relative_to_the_spread() -> None:
    # Means 101 and 1; spread √4 = 2; difference 1.
    judge = numbers([100, 0], [102, 2])
    assert centred_error(numbers([100, 0], [102, 3]), judge) == pytest.approx(0.5)


def test_a_mean_is_that_of_a_channel_over_all_tokens() -> None:
    # Channels 0, 2, 4, 6 and 10, 10, 10, 10: the spread is √(9 + 1 + 1 + 9), the difference 2.
    judge = numbers([[0, 10], [2, 10]], [[4, 10], [6, 10]])
    found = judge.copy()
    found[0, 1, 1] = 12
    assert centred_error(found, judge) == pytest.approx(2 / math.sqrt(20))


def test_a_vector_is_centred_as_a_whole() -> None:
    assert centred_error(numbers(11, 13), numbers(11, 14)) == pytest.approx(1 / math.sqrt(4.5))


@pytest.mark.parametrize("shape", [(2,), (1, 2), (1, 1, 2)])
def test_a_single_row_is_relative_to_its_size_and_a_vector_is_not(shape: tuple[int, ...]) -> None:
    found, judge = np.reshape([3.0, 5.0], shape), np.reshape([3.0, 4.0], shape)
    assert centred_error(found, judge) == pytest.approx(1 / (math.sqrt(0.5) if len(shape) == 1 else 5))


def test_a_scalar_is_relative_to_its_size() -> None:
    assert centred_error(np.array(3.0), np.array(2.0)) == pytest.approx(0.5)


def test_a_nearly_constant_output_is_relative_to_its_size() -> None:
    judge = np.full((100, 2), 3.0) + 1e-7 * np.arange(100)[:, None]
    assert centred_error(judge + 3e-6, judge) == pytest.approx(1e-6, rel=1e-3)


def test_equal_outputs_have_no_error_however_little_they_vary() -> None:
    assert centred_error(np.ones((3, 2)), np.ones((3, 2))) == 0
    assert centred_error(np.ones((3, 2)) + 1e-9, np.zeros((3, 2))) == INF
    assert centred_error(np.zeros((0, 2)), np.zeros((0, 2))) == 0


def test_float32_is_judged_in_float64() -> None:
    judge = np.array([1e30, -1e30])
    assert centred_error(numbers(1e30, -1e30), judge) < 1e-7


def test_rows_of_padding_are_not_compared() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    judge = np.arange(12.0).reshape(2, 3, 2)
    found = judge.copy()
    found[0, 2] = found[1, 1:] = NAN
    assert centred_error(found, judge, mask) == 0
    found[1, 0, 0] = 7
    # Of the real rows [0, 1], [2, 3] and [6, 7]: twice the spread of 0, 2, 6, and a difference of 1.
    assert centred_error(found, judge, mask) == pytest.approx(1 / math.sqrt(2 * 56 / 3))


def test_texts_without_a_token_are_not_compared() -> None:
    mask = np.array([[1, 0], [0, 0], [1, 1]])
    judge = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = judge.copy()
    found[1] = NAN
    assert centred_error(found[:, None], judge[:, None], mask) == 0
    found[2, 0] = NAN
    assert np.isnan(centred_error(found[:, None], judge[:, None], mask))


def test_a_mask_of_another_batch_hides_nothing() -> None:
    judge = np.arange(6.0).reshape(3, 2)
    assert centred_error(judge + np.eye(3, 2), judge, np.zeros((2, 2), np.int64)) > 0


@pytest.mark.parametrize(("found", "judge"), [(NAN, 1), (1, NAN), (INF, 1), (INF, -INF), (INF, INF), (NAN, NAN)])
def test_infinities_and_nans_pass_no_bound(found: float, judge: float) -> None:
    assert math.isnan(centred_error(numbers([found], [2], [3]), numbers([judge], [2], [4])))


def test_an_integer_output_is_equal_or_not() -> None:
    assert centred_error(np.array([1, 2]), np.array([1, 2])) == 0
    assert centred_error(np.array([1, 2]), np.array([1, 3])) == INF
    assert centred_error(np.array([True]), np.array([False])) == INF


def test_batches_are_one_set_of_rows() -> None:
    error = CentredError()
    for judge, found in [(0.0, 0.0), (2.0, 3.0)]:
        error.add(numbers([found]), numbers([judge]))
    # Each batch alone does not vary; together they are ∓1 around 1.
    assert error.value() == pytest.approx(1 / math.sqrt(2))


def test_batches_with_a_large_mean_lose_nothing() -> None:
    generator = np.random.default_rng(0)
    judge = 1e8 + generator.standard_normal((60, 3))
    found = judge + 1e-3 * generator.standard_normal((60, 3))
    batched = CentredError()
    for rows in (slice(0, 1), slice(1, 1), slice(1, 40), slice(40, 60)):
        batched.add(found[rows], judge[rows])
    expected = np.linalg.norm(found - judge) / np.linalg.norm(judge - judge.mean(axis=0))
    assert batched.value() == pytest.approx(expected, rel=1e-6)


def test_a_constant_output_is_an_infinite_error_unless_compared_with_its_size() -> None:
    for by_size, expected in [(False, INF), (True, 1 / 10)]:
        error = CentredError(constant_by_size=by_size)
        error.add(numbers([5, 5], [5, 4]), numbers([5, 5], [5, 5]))
        assert error.value() == pytest.approx(expected)


@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_equal_values_that_are_not_finite_are_not_equal(value: float) -> None:
    error = CentredError()
    error.add(numbers([value], [1]), numbers([value], [1]))
    error.add(numbers([2], [3]), numbers([2], [3]))
    assert math.isnan(error.value())
    assert math.isnan(centred_error(numbers([value], [1]), numbers([value], [1])))
    assert math.isnan(centred_error(numbers([1], [2]), numbers([value], [2])))


def test_rows_and_channels_of_known_axes() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    # As many labels as tokens: only the number of row axes tells that the second axis is channels.
    labels = np.arange(9.0).reshape(3, 3)
    assert real_rows(labels, mask, 1).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert real_rows(labels, mask, 2).tolist() == [[0], [1], [3]]
    tokens = np.arange(18.0).reshape(3, 3, 2)
    assert real_rows(tokens, mask, 2).tolist() == [[0, 1], [2, 3], [6, 7]]
    assert real_rows(tokens, None, 2).shape == (9, 2)
    choices = np.array([[[1, 1], [1, 0]], [[1, 0], [0, 0]]])
    assert real_rows(np.array([[0.0, 1.0], [2.0, 3.0]]), choices, 2).tolist() == [[0], [1], [2]]


def test_rows_and_channels_of_unknown_axes() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    assert real_rows(np.arange(12.0).reshape(2, 3, 2), mask).tolist() == [[0, 1], [2, 3], [6, 7]]
    assert real_rows(np.arange(6.0).reshape(2, 3), mask).tolist() == [[0], [1], [3]]
    assert real_rows(np.arange(12.0).reshape(6, 2), mask).tolist() == [[0, 1], [2, 3], [6, 7]]  # [batch * seq, 2]
    scores = np.arange(36.0).reshape(2, 2, 3, 3)  # [batch, heads, queries, keys]
    queries = [scores[0, :, 0], scores[0, :, 1], scores[1, :, 0]]
    assert np.array_equal(real_rows(scores, mask), np.concatenate(queries))
    assert real_rows(np.arange(4.0).reshape(2, 2), mask).tolist() == [[0, 1], [2, 3]]
    assert real_rows(np.arange(24.0).reshape(4, 3, 2), mask).shape == (12, 2)
    assert real_rows(np.zeros((3, 0)), None).shape == (3, 0)


def test_the_largest_error_of_the_outputs() -> None:
    feed = {"attention_mask": np.array([[1, 1], [1, 0]])}
    judge = {"a": numbers([[1], [3]], [[2], [0]]), "b": numbers([1, 0, 7], [3, 0, 7])}
    found = {"a": numbers([[1], [3]], [[2], [9]]), "b": numbers([1, 0, 7], [4, 0, 7])}
    assert largest_centred_error(found, judge, feed) == pytest.approx(1 / math.sqrt(2))
    assert largest_centred_error(judge, judge, feed) == 0
    assert largest_centred_error({"a": judge["a"]}, judge, feed) == INF
    assert largest_centred_error({**judge, "b": judge["b"][:1]}, judge, feed) == INF
    broken = {**judge, "b": numbers([1, NAN, 7], [3, 0, 7])}
    assert np.isnan(largest_centred_error(broken, broken, feed))


def test_without_a_mask_every_token_is_a_row() -> None:
    logits = {"logits": numbers([11, 13])}
    found = {"logits": numbers([11, 14])}
    assert largest_centred_error(found, logits, {"input_ids": np.ones((1, 2), int)}) == pytest.approx(1 / math.sqrt(2))
