"""Stages of each strategy, and the parameters that each of them trains."""

from __future__ import annotations

import pytest

from mbert_onnx.errors import UsageError
from mbert_onnx.training.distillation.strategies import STRATEGIES, Stage, stages_of

WORDS = "student.mobilebert.embeddings.word_embeddings.weight"
NORM = "student.mobilebert.embeddings.LayerNorm.weight"
HEAD = "student.cls.predictions.bias"


def layer(number: int) -> str:
    return f"student.mobilebert.encoder.layer.{number}.ffn.0.intermediate.dense.weight"


def stages(strategy: str, **changes: object) -> list[Stage]:
    options: dict[str, object] = {"layers": 3, "transfer_steps": 10, "distillation_steps": 4, **changes}
    return stages_of(strategy, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_strategies_have_the_same_number_of_steps(strategy: str) -> None:
    assert sum(stage.steps for stage in stages(strategy)) == 14


def test_progressive_transfer_has_a_stage_per_layer_and_distillation() -> None:
    found = stages("progressive")
    assert [(stage.name, stage.steps, stage.layers) for stage in found] == [
        ("layer 1", 4, (0,)),
        ("layer 2", 3, (1,)),
        ("layer 3", 3, (2,)),
        ("distillation", 4, ()),
    ]
    assert [stage.predicts for stage in found] == [False, False, False, True]
    assert [stage.depth for stage in found] == [1, 2, 3, 3]


def test_progressive_transfer_freezes_lower_layers() -> None:
    second = stages("progressive")[1]
    assert [second.rate(name) for name in (WORDS, NORM, layer(0), layer(1), layer(2), HEAD)] == [0, 0, 0, 1, 0, 0]


def test_lower_layers_may_be_trained_at_a_lower_rate() -> None:
    second = stages("progressive", lower_rate=0.1)[1]
    names = (WORDS, NORM, layer(0), layer(1), layer(2), HEAD)
    assert [second.rate(name) for name in names] == [0.1, 0.1, 0.1, 1, 0, 0]


def test_the_first_layer_is_trained_with_the_embeddings_normalization() -> None:
    first = stages("progressive")[0]
    assert [first.rate(name) for name in (WORDS, NORM, layer(0), layer(1))] == [0, 1, 1, 0]


def test_joint_transfer_trains_all_layers_at_once() -> None:
    together, distillation = stages("joint")
    assert together.layers == (0, 1, 2)
    assert not together.predicts
    assert [together.rate(name) for name in (WORDS, NORM, layer(0), layer(2), HEAD)] == [0, 1, 1, 1, 0]
    assert [distillation.rate(name) for name in (WORDS, NORM, layer(0), HEAD)] == [1, 1, 1, 1]


def test_auxiliary_transfer_has_one_stage() -> None:
    [stage] = stages("auxiliary")
    assert (stage.layers, stage.predicts, stage.teaches, stage.rate(WORDS)) == ((0, 1, 2), True, True, 1)


def test_the_baseline_has_no_teacher() -> None:
    [stage] = stages("none")
    assert (stage.layers, stage.predicts, stage.teaches) == ((), True, False)


def test_stages_without_steps_are_left_out() -> None:
    assert [stage.name for stage in stages("joint", distillation_steps=0)] == ["joint transfer"]
    assert [stage.name for stage in stages("joint", transfer_steps=0)] == ["distillation"]


def test_fewer_transfer_steps_than_layers_are_refused() -> None:
    with pytest.raises(UsageError, match="transfer_steps is 2, but progressive transfer has a stage for each of 3"):
        stages("progressive", transfer_steps=2)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(UsageError, match="strategy is 'all'; expected one of progressive, joint, auxiliary, none"):
        stages("all")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pooler_and_next_sentence_head_are_frozen_without_next_sentences(strategy: str) -> None:
    names = ("student.mobilebert.pooler.dense.weight", "student.cls.seq_relationship.weight")
    last = stages(strategy)[-1]
    assert [last.rate(name) for name in (*names, HEAD)] == [1, 1, 1]
    last = stages(strategy, next_sentence=False)[-1]
    assert [last.rate(name) for name in (*names, HEAD)] == [0, 0, 1]
