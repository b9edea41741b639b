"""Random chains of blocks: whatever is folded, the numbers stay."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from graph_helpers import graph, leaves_alone, same_numbers, valid
from hypothesis import given, note, settings
from hypothesis import strategies as st

from graphs.passes.fold.fold_affine import FoldAffine

GAMMAS = ("near one", "some zero", "negative", "large", "small", "mixed")
PARTS = ("residual", "nonorm", "linear", "relu", "heads", "view")


@dataclass
class Chain:
    """A graph's text, as it grows by one part after the other."""

    rng: np.random.Generator
    deep: bool
    width: int
    values: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    stream: str = "x"

    def constant(self, *shape: int, array: np.ndarray | None = None) -> str:
        name = f"c{len(self.values)}"
        size = np.sqrt(shape[0]) if len(shape) > 1 else 1
        self.values[name] = self.rng.normal(size=shape) / size if array is None else array
        self.shapes.append(f"float[{', '.join(map(str, shape))}] {name}")
        return name

    def node(self, operation: str) -> str:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {operation}")
        return name

    def either_way(self, op_type: str, a: str, b: str) -> str:
        return self.node(f"{op_type}({a}, {b})" if self.rng.random() < 0.5 else f"{op_type}({b}, {a})")

    def dims(self, *last: int) -> str:
        return ", ".join(["b, s" if self.deep else "n", *map(str, last)])

    def linear(self, x: str, width_in: int, width_out: int, bias: bool) -> str:
        weight = self.constant(width_in, width_out)
        if bias and not self.deep:
            return self.node(f"Gemm({x}, {weight}, {self.constant(width_out)})")
        product = self.node(f"MatMul({x}, {weight})")
        return self.either_way("Add", product, self.constant(width_out)) if bias else product

    def norm(self, kind: str, order: str) -> None:
        """γ and β, in this order, or the other, or one of them."""
        for letter in order:
            if letter == "m":
                gamma = self.constant(self.width, array=_gamma(self.rng, kind, self.width))
                self.stream = self.either_way("Mul", self.stream, gamma)
            else:
                self.stream = self.either_way("Add", self.stream, self.constant(self.width))

    def output(self) -> None:
        if self.lines:
            # An Identity, as no value may be listed twice.
            name = self.node(f"Identity({self.stream})")
            self.outputs.append(f"float[{self.dims(self.width)}] {name}")

    def heads(self) -> None:
        """Split the channels into heads, scale each, and join them."""
        count = next(n for n in (4, 3, 2, 1) if self.width % n == 0)
        keep = "0, 0" if self.deep else "-1"
        self.shapes.append(
            f"int64[{4 if self.deep else 3}] to{len(self.lines)} = {{{keep}, {count}, {self.width // count}}}"
        )
        parted = self.node(f"Reshape({self.stream}, to{len(self.lines)})")
        scaled = self.either_way(
            str(self.rng.choice(["Mul", "Add"])), parted, self.constant(count, self.width // count)
        )
        self.shapes.append(f"int64[{3 if self.deep else 2}] to{len(self.lines)} = {{{keep}, {self.width}}}")
        self.stream = self.node(f"Reshape({scaled}, to{len(self.lines)})")

    def view(self) -> None:
        perm = "1, 0, 2" if self.deep else "1, 0"
        turned = self.node(f"Transpose <perm = [{perm}]> ({self.stream})")
        self.stream = self.node(f"Transpose <perm = [{perm}]> ({turned})")

    def model(self, width_in: int) -> ir.Model:
        outputs = ", ".join([*self.outputs, f"float[{self.dims(self.width)}] {self.stream}"])
        constants = f"<{', '.join(self.shapes)}>" if self.shapes else ""
        text = f"(float[{self.dims(width_in)}] x) => ({outputs}) {constants} {{ {' '.join(self.lines)} }}"
        note(text)
        return graph(text, **self.values)


def _gamma(rng: np.random.Generator, kind: str, width: int) -> np.ndarray:
    gamma = 1 + 0.2 * rng.normal(size=width)
    some = rng.random(width) < 0.4
    factors = {"some zero": 0.0, "negative": -1.0, "large": 1e5, "small": 1e-5}
    if kind == "mixed":
        return gamma * rng.choice([1, 0, -1, 1e4, 1e-4], size=width)
    return np.where(some, gamma * factors.get(kind, 1.0), gamma)


@st.composite
def chains(draw: st.DrawFn) -> ir.Model:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width_in = draw(st.integers(4, 16))
    chain = Chain(rng, deep=draw(st.booleans()), width=width_in)
    for part in draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=7)):
        bias = draw(st.booleans())
        if part == "residual":
            hidden = draw(st.integers(4, 16))
            inner = chain.node(f"Relu({chain.linear(chain.stream, chain.width, hidden, draw(st.booleans()))})")
            written = chain.linear(inner, hidden, chain.width, bias)
            chain.stream = chain.either_way("Add", written, chain.stream)
        elif part == "linear":
            width = draw(st.integers(4, 16))
            chain.stream, chain.width = chain.linear(chain.stream, chain.width, width, bias), width
        elif part == "relu":
            chain.stream = chain.node(f"Relu({chain.stream})")
        elif part == "heads":
            chain.heads()
        elif part == "view":
            chain.view()
        if part in ("residual", "nonorm"):
            chain.norm(draw(st.sampled_from(GAMMAS)), draw(st.sampled_from(["ma", "am", "m", "a", "mam"])))
        if draw(st.integers(0, 3)) == 0:
            chain.output()
    return chain.model(width_in)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(chains(), st.booleans())
def test_folding_any_chain_of_blocks_keeps_its_numbers_and_is_done_at_once(
    before: ir.Model, bias_in_gemm: bool
) -> None:
    step, after = FoldAffine(bias_in_gemm=bias_in_gemm), before.clone()
    step(after)
    valid(before, after)
    same_numbers(before, after)
    assert after.graph.num_nodes() <= before.graph.num_nodes() + step.restarts + len(before.graph.outputs)
    leaves_alone(step, after)
