"""Product of activations and an 8-bit weight as ONNX text, in the only form that onnxruntime fuses."""

from __future__ import annotations


def dynamic_product(x: str, weight: str, scale: str, output: str) -> list[str]:
    """Returns ONNX text of x, quantized with one step for the tensor, times an int8 weight with a step per column.

    onnxruntime fuses it to MatMulIntegerToFloat or DynamicQuantizeMatMul, with the bias if one is added next.

    Args:
        x: [rows, in], float.
        weight: [in, out], int8.
        scale: [out], float.
        output: [rows, out], float. The names of values in between begin with this one.
    """
    return [
        f"{output}_quantized, {output}_step, {output}_zero = DynamicQuantizeLinear({x})",
        f"{output}_integer = MatMulInteger({output}_quantized, {weight}, {output}_zero)",
        f"{output}_whole = Cast <to = 1> ({output}_integer)",
        f"{output}_steps = Mul({output}_step, {scale})",
        f"{output} = Mul({output}_whole, {output}_steps)",
    ]
