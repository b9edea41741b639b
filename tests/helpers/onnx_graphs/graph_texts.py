"""Graphs in ONNX's text syntax that tests of several passes start from."""

from __future__ import annotations

ATTENTION = """(float[b, s, 8] x) => (float[b, s, 5] y)
<float[8, 6] Q, float[8, 6] K, float[8, 6] V, int64[4] heads = {0, 0, 2, 3}, int64[3] joined = {0, 0, 6}, float[6, 5] O>
{
    query = MatMul(x, Q) query4 = Reshape(query, heads) queries = Transpose <perm = [0, 2, 1, 3]> (query4)
    key = MatMul(x, K) key4 = Reshape(key, heads) keys = Transpose <perm = [0, 2, 3, 1]> (key4)
    value = MatMul(x, V) value4 = Reshape(value, heads) values = Transpose <perm = [0, 2, 1, 3]> (value4)
    scores = MatMul(queries, keys) weights = Softmax <axis = -1> (scores)
    context = MatMul(weights, values) context4 = Transpose <perm = [0, 2, 1, 3]> (context)
    context3 = Reshape(context4, joined) y = MatMul(context3, O)
}"""

# Two networks of 6 on an inner stream of 4, and an outer one of 8.
BLOCK = """(float[n, 4] u, float[n, 8] outer) => (float[n, 8] y)
    <float[4, 6] V1, float[6] a1, float[6, 4] W1, float[4, 6] V2, float[6] a2, float[6, 4] W2, float[4, 8] Wo>
    {
        wide1 = Gemm(u, V1, a1)
        active1 = Relu(wide1)
        u1 = Gemm(active1, W1, u)
        wide2 = Gemm(u1, V2, a2)
        active2 = Relu(wide2)
        u2 = Gemm(active2, W2, u1)
        y = Gemm(u2, Wo, outer)
    }"""
