"""Layers that are compared, and linear maps between pairs of different widths."""

from __future__ import annotations

import pytest
import torch

from mbert_onnx.errors import UsageError
from mbert_onnx.training.distillation.layer_pairs import layer_pairs, width_maps
from mbert_onnx.training.distillation.strategies import stages_of


@pytest.mark.parametrize(
    ("layers", "student", "teacher", "pairs"),
    [
        ("uniform", 3, 3, {0: 0, 1: 1, 2: 2}),
        ("uniform", 4, 12, {0: 2, 1: 5, 2: 8, 3: 11}),
        ("uniform", 4, 6, {0: 1, 1: 2, 2: 4, 3: 5}),
        ("uniform", 24, 6, {3: 0, 7: 1, 11: 2, 15: 3, 19: 4, 23: 5}),
        ("last", 3, 6, {2: 5}),
        ([0, 2, 6], 3, 6, {1: 1, 2: 5}),
    ],
)
def test_layers_are_paired(layers: str | list[int], student: int, teacher: int, pairs: dict[int, int]) -> None:
    assert layer_pairs(layers, student, teacher) == pairs


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([1, 2], "transfer.layers has 2 numbers, the student 3 layers; give one for each"),
        ([1, 2, 5], "transfer.layers has 5, but the teacher has 4 layers; give at most that"),
        ([0, 3, 2], r"transfer.layers is \[0, 3, 2\], which does not increase; give the teacher's layers in order"),
        ([0, 0, 0], "transfer.layers has only zeros, so no layer is compared; give a layer of the teacher"),
    ],
)
def test_layers_that_are_no_map_are_refused(layers: list[int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        layer_pairs(layers, 3, 4)


def test_equal_widths_have_no_linear_maps() -> None:
    assert not width_maps({0: 0}, 16, 16, vectors=True)
    maps = width_maps({0: 0, 2: 3}, 16, 24, vectors=True)
    assert list(maps) == ["0", "2", "vectors"]
    x = torch.randn(5, 16)
    assert torch.equal(maps["2"](x)[:, :16], x)


def test_progressive_transfer_trains_the_layers_between_compared_ones() -> None:
    options = {"layers": 4, "transfer_steps": 5, "distillation_steps": 0, "compared": [1, 3], "trains_embeddings": True}
    first, second = stages_of("progressive", **options)  # type: ignore[arg-type]
    assert [(stage.name, stage.steps, stage.layers, stage.depth) for stage in (first, second)] == [
        ("layer 2", 3, (1,), 2),
        ("layer 4", 2, (3,), 4),
    ]
    names = ["student.mobilebert.embeddings.word_embeddings.weight", "width_maps.1.weight", "width_maps.3.weight"]
    layers = [f"student.mobilebert.encoder.layer.{number}.output.dense.weight" for number in range(4)]
    assert [first.rate(name) for name in (*names, *layers)] == [1, 1, 0, 1, 1, 0, 0]
    assert [second.rate(name) for name in (*names, *layers)] == [0, 0, 1, 0, 0, 1, 1]
