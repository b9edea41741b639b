"""A run of layers as one operator computes what its layers' operators compute one after the other, without padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from built_kernels import LIBRARY, needs_kernels
from kernel_models import LOWEST, Arrays, Widths, attention_feed, ffn_feed, session, with_8_bit_weights, with_scales
from onnx import TensorProto, helper, numpy_helper

from graphs.functions import DOMAIN, VERSION

pytestmark = needs_kernels

WIDTHS = [Widths(64, 32, 80, 4, 2), Widths(40, 36, 33, 3, 1)]
# Lengths of the texts of a batch.
BATCHES = ([1], [7], [13, 13], [5, 70, 33], [64, 1, 1], [130])
FACTORS = (0, 1, 0)

ATTENTION = ("weight_in", "bias_in", "weight_qk", "bias_qk", "weight_out")


KINDS = ("", "Int8", "Float16")


def layers_of(widths: Widths, is_int8: bool) -> tuple[list[Arrays], list[Arrays]]:
    """Returns the inputs of the attention and of the FFNs of each layer."""
    attentions = [attention_feed(widths, [2], seed) for seed in range(len(FACTORS))]
    ffns = [ffn_feed(widths, 2, seed) for seed in range(len(FACTORS))]
    if is_int8:
        attentions, ffns = [with_8_bit_weights(a) for a in attentions], [with_8_bit_weights(f) for f in ffns]
    return attentions, ffns


def encoder_session(
    widths: Widths, kind: str, *, one: bool, threads: int = 1, change: Mapping[str, object] | None = None
) -> onnxruntime.InferenceSession:
    """Returns a session of the layers as one node, or as two nodes each. `change` replaces attributes of the one.

    Weights of the kind Float16 have values of float16. Layers of two nodes, which have no such kind, are float32.
    """
    is_int8, is_half = kind == "Int8", kind == "Float16"
    suffix = "" if is_half and not one else kind
    real = np.float16 if is_half and one else np.float32
    ffn = [f"{part}_{i}" for i in range(widths.networks) for part in ("weight1", "bias1", "weight2")] + ["weight_out"]
    named = with_scales if is_int8 else list
    constants, nodes, inputs, x = [], [], ["x", "mask", "heads"], "x"

    def constant(name: str, array: np.ndarray) -> str:
        rounded = array.astype(np.float16) if is_half else array
        kept = array if array.dtype == np.int8 else rounded.astype(real)
        constants.append(numpy_helper.from_array(kept, name))
        return name

    for number, (attention, stacked) in enumerate(zip(*layers_of(widths, is_int8), strict=True)):
        scaled = x
        if FACTORS[number]:
            factor = constant(f"{number}.factor", np.linspace(0.5, 2, widths.hidden))
            inputs.append(factor)
            scaled = f"{number}.scaled"
            nodes.append(helper.make_node("Mul", [x, factor], [scaled]))
        own = [constant(f"{number}.a.{n}", attention[n]) for n in named(list(ATTENTION))]
        other = [constant(f"{number}.f.{n}", stacked[n]) for n in named(ffn)]
        inputs += [*own, *other]
        inner, y = f"{number}.inner", f"{number}.y"
        nodes += [
            helper.make_node(f"BottleneckAttention{suffix}", [scaled, "mask", "heads", *own], [inner], domain=DOMAIN),
            helper.make_node(f"StackedFFN{suffix}", [inner, x, *other], [y], domain=DOMAIN),
        ]
        x = y
    if one:
        attributes: dict[str, Any] = {"layers": len(FACTORS), "networks": widths.networks, "factors": FACTORS}
        attributes.update(change or {})
        nodes = [helper.make_node(f"Encoder{suffix}", inputs, [x], domain=DOMAIN, **attributes)]
    float_type = helper.np_dtype_to_tensor_dtype(np.dtype(real))
    kinds = {"x": (float_type, 2), "mask": (float_type, 4), "heads": (TensorProto.INT64, 1)}
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info(n, kind, [None] * rank) for n, (kind, rank) in kinds.items()],
        [helper.make_tensor_value_info(x, float_type, [None, None])],
        constants,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return session(model.SerializeToString(), LIBRARY, threads)


def inputs_of(widths: Widths, lengths: list[int]) -> Arrays:
    feed = attention_feed(widths, lengths)
    return {
        "x": feed["x"].astype(np.float32),
        "mask": feed["mask"].astype(np.float32),
        "heads": feed["heads"].astype(np.int64),
    }


def outputs(opened: onnxruntime.InferenceSession, feed: Arrays) -> np.ndarray:
    is_half = opened.get_inputs()[0].type == "tensor(float16)"
    if is_half:
        # As passes write a mask in float16: half of the type's lowest number at padding.
        mask = np.where(feed["mask"] <= LOWEST, np.finfo(np.float16).min / 2, feed["mask"])
        feed = feed | {"x": feed["x"].astype(np.float16), "mask": mask.astype(np.float16)}
    y = opened.run(None, feed)[0]
    assert isinstance(y, np.ndarray)
    return y


def rounded(array: np.ndarray, kind: str) -> np.ndarray:
    """Returns an array in float16 where the kind has it. Products are computed in float32 from its values."""
    return array.astype(np.float16) if kind == "Float16" else array


@pytest.mark.parametrize("kind", KINDS)
def test_one_operator_is_its_layers(isa: str, kind: str) -> None:
    for widths in WIDTHS:
        blocks = encoder_session(widths, kind, one=False)
        encoders = [encoder_session(widths, kind, one=True, threads=threads) for threads in (1, 3)]
        for lengths in BATCHES:
            feed = inputs_of(widths, lengths)
            real = feed["mask"].reshape(-1) > LOWEST
            feed["x"] = rounded(feed["x"], kind).astype(np.float32)
            expected = rounded(outputs(blocks, feed), kind)
            feed["x"][~real] = np.nan  # padding is not read
            for encoder in encoders:
                for _ in range(3):
                    found = outputs(encoder, feed)
                    np.testing.assert_array_equal(found[real], expected[real])
                    assert not found[~real].any()


@pytest.mark.parametrize("kind", KINDS)
def test_masks_that_are_not_padding_at_the_end(kind: str) -> None:
    """All rows are computed where a text has no token, where padding comes first, and where masks differ by row."""
    widths = WIDTHS[0]
    blocks, encoder = (encoder_session(widths, kind, one=one) for one in (False, True))
    feed = inputs_of(widths, [9, 9])
    feed["x"] = rounded(feed["x"], kind).astype(np.float32)
    empty, first, rows = (feed["mask"].copy() for _ in range(3))
    empty[1], first[0, ..., :4] = LOWEST, LOWEST
    rows = np.where(np.tri(9, dtype=bool), 0, LOWEST).astype(np.float32)[None, None]
    for mask in (empty, first, rows):
        expected = rounded(outputs(blocks, feed | {"mask": mask}), kind)
        np.testing.assert_array_equal(outputs(encoder, feed | {"mask": mask}), expected)
    nothing = {"x": feed["x"][:0], "mask": feed["mask"][:0], "heads": np.array([0, 9, 4, 8])}
    assert outputs(encoder, nothing).shape == (0, 64)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"layers": 0}, "Encoder has layers = 0 and networks = 2; expected 1 to 1024 layers of 1 to 16 networks"),
        ({"networks": 17}, "Encoder has layers = 3 and networks = 17; expected"),
        ({"factors": [0, 1]}, "attribute factors has 2 numbers; expected 3"),
        ({"factors": [0, 0, 0]}, "Encoder has 40 inputs; expected 39 for 3 layers of 2 networks"),
        (
            {"factors": [1, 0, 0]},
            r"the vector of factor is float \[\d+\]|weight_in is float \[64\]|is float \[64, 96\]",
        ),
        ({"networks": 1}, "Encoder has 40 inputs; expected 31 for 3 layers of 1 networks"),
    ],
)
def test_wrong_attributes_are_refused(change: Mapping[str, object], line: str) -> None:
    with pytest.raises(Exception, match=line):
        encoder_session(WIDTHS[0], "", one=True, change=change)
