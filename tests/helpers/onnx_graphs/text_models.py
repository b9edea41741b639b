"""A small MobileBERT as exporters write it: three dimensions, a mask from attention_mask, heads by Reshape."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from graph_helpers import graph

HEADER = """(int64[b, s] input_ids, int64[b, s] attention_mask) => (float[b, s, HIDDEN] hidden)
<float[ROWS, HIDDEN] table, float one = {1}, float low = {-3.4e38}, float root = {1.4142135},
 int64[2] axes = {1, 2}, int64[4] heads = {0, 0, 2, HALF}, int64[3] joined = {0, 0, INNER}"""
LAYER_3D = """
    bottleneck_I = MatMul(h_I, Wi_I) bottleneck_b_I = Add(bottleneck_I, bi_I)
    scaled1_I = Mul(bottleneck_b_I, g1_I) inner_I = Add(scaled1_I, t1_I)
    shared0_I = MatMul(h_I, Ws_I) shared_b_I = Add(shared0_I, bs_I)
    scaled2_I = Mul(shared_b_I, g2_I) shared_I = Add(scaled2_I, t2_I)
    query0_I = MatMul(shared_I, Wq_I) query_I = Add(query0_I, bq_I)
    key0_I = MatMul(shared_I, Wk_I) key_I = Add(key0_I, bk_I)
    value0_I = MatMul(h_I, Wv_I) value_I = Add(value0_I, bv_I)
    query4_I = Reshape(query_I, heads) queries_I = Transpose <perm = [0, 2, 1, 3]> (query4_I)
    key4_I = Reshape(key_I, heads) keys_I = Transpose <perm = [0, 2, 3, 1]> (key4_I)
    value4_I = Reshape(value_I, heads) values_I = Transpose <perm = [0, 2, 1, 3]> (value4_I)
    scores_I = MatMul(queries_I, keys_I) reduced_I = Div(scores_I, root)
    masked_I = Add(reduced_I, mask) weights_I = Softmax <axis = -1> (masked_I)
    context_I = MatMul(weights_I, values_I)
    context4_I = Transpose <perm = [0, 2, 1, 3]> (context_I) context3_I = Reshape(context4_I, joined)
    out0_I = MatMul(context3_I, Wa_I) out_I = Add(out0_I, ba_I) sum1_I = Add(out_I, inner_I)
    scaled3_I = Mul(sum1_I, g3_I) u_I = Add(scaled3_I, t3_I)
    wide0_I = MatMul(u_I, Wf_I) wide_I = Add(wide0_I, bf_I) active_I = Relu(wide_I)
    fed0_I = MatMul(active_I, Wn_I) fed_I = Add(fed0_I, bn_I) sum2_I = Add(fed_I, u_I)
    scaled4_I = Mul(sum2_I, g4_I) v_I = Add(scaled4_I, t4_I)
    up0_I = MatMul(v_I, Wo_I) up_I = Add(up0_I, bo_I) sum3_I = Add(up_I, h_I)
    scaled5_I = Mul(sum3_I, g5_I) h_J = Add(scaled5_I, t5_I)"""
SHAPES = dict.fromkeys(("Wi", "Ws", "Wv"), "HIDDEN, INNER") | dict.fromkeys(("Wq", "Wk", "Wa"), "INNER, INNER")
SHAPES |= {"Wf": "INNER, WIDE", "Wn": "WIDE, INNER", "Wo": "INNER, HIDDEN", "bf": "WIDE"}
SHAPES |= dict.fromkeys(("bo", "g5", "t5"), "HIDDEN")
SHAPES |= dict.fromkeys(("bi", "bs", "bq", "bk", "bv", "ba", "bn"), "INNER")
SHAPES |= {f"{letter}{i}": "INNER" for letter in "gt" for i in range(1, 5)}


def bert(
    *changes: tuple[str, str], layers: int = 2, hidden: int = 8, inner: int = 4, wide: int = 6, rows: int = 50
) -> ir.Model:
    """The model, of two heads, with pieces of its text replaced by others.

    Args:
        changes: Of the text; each stands there once.
        layers: Their number.
        hidden: hidden_size.
        inner: intra_bottleneck_size.
        wide: intermediate_size.
        rows: Of the vocabulary.
    """
    constants = [HEADER, *(f"float[{shape}] {name}_{i}" for i in range(layers) for name, shape in SHAPES.items())]
    body = """h_0 = Gather(table, input_ids)
        wide_mask = Unsqueeze(attention_mask, axes) float_mask = Cast <to = 1> (wide_mask)
        padding = Sub(one, float_mask) mask = Mul(padding, low)"""
    body += "".join(LAYER_3D.replace("_I", f"_{i}").replace("_J", f"_{i + 1}") for i in range(layers))
    text = f"{', '.join(constants)}> {{ {body} hidden = Identity(h_{layers}) }}"
    sizes = {"HIDDEN": hidden, "HALF": inner // 2, "INNER": inner, "WIDE": wide, "ROWS": rows}
    for name, size in sizes.items():
        text = text.replace(name, str(size))
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return graph(text)


def text_feed(seed: int = 0, batch: int = 2, length: int = 5) -> dict[str, np.ndarray]:
    """Texts, of which all but the first have two tokens of padding."""
    mask = np.ones((batch, length), dtype=np.int64)
    mask[1:, -2:] = 0
    return {"input_ids": np.random.default_rng(seed).integers(0, 50, (batch, length)), "attention_mask": mask}
