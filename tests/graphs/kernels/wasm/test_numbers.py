"""The .wasm files compute what the native runtime computes: by each instruction set, in each precision."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from kernel_models import Arrays, Widths, attention_feed, ffn_feed, model_of, with_8_bit_weights
from simulated_dot import with_simulated_dot
from standalone_models import INT64, function_model
from standalone_runtime import Runtime, assert_same
from wasm_runtime import WasmRuntime, built, run_in_node

WIDTHS = [Widths(512, 128, 512, 4, 4), Widths(40, 36, 33, 3, 3), Widths(48, 16, 112, 1, 1)]
NODE = shutil.which("node")
AT_RUN_TIME = ("x", "residual", "mask", "heads")


@pytest.fixture(scope="module")
def engines(wasm: Path) -> dict[str, WasmRuntime]:
    """Engines of the module with relaxed SIMD by instruction set.

    wasmtime's dot product of bytes has signed factors where it is to be deterministic; else, on x86-64, sums saturate.
    V8's has an unsigned factor where the processor has AVX-VNNI.
    """
    file = built(wasm, "mbert-relaxed.wasm")
    unsigned = wasm / "unsigned.wasm"
    unsigned.write_bytes(with_simulated_dot(file.read_bytes(), is_signed=False))
    return {
        "wasm-relaxed": WasmRuntime(file, deterministic=True),
        "wasm-relaxed-unsigned": WasmRuntime(unsigned),
        "wasm-simd128": WasmRuntime(file),
    }


def check(engine: WasmRuntime, native: Runtime, given: Arrays, widths: Widths) -> None:
    model = model_of(given, widths)
    feed = feed_of(given)
    with native.model(model) as loaded:
        expected = loaded.run(feed)
    is_int8 = any(array.dtype == np.int8 for array in given.values())
    assert_same(engine.run(model, feed), expected, 0.0 if is_int8 else 1e-6)


def feed_of(given: Arrays) -> Arrays:
    feed = {name: given[name] for name in AT_RUN_TIME if name in given}
    return {name: array if array.dtype.kind == "i" else array.astype(np.float32) for name, array in feed.items()}


def test_the_probe_finds_how_the_engine_multiplies(engines: dict[str, WasmRuntime]) -> None:
    for name in ("wasm-relaxed", "wasm-relaxed-unsigned"):
        assert engines[name].instruction_set == name
    assert engines["wasm-simd128"].instruction_set in ("wasm-simd128", "wasm-relaxed", "wasm-relaxed-unsigned")


@pytest.mark.full
def test_the_module_with_fixed_simd(wasm: Path, native: Runtime) -> None:
    engine = WasmRuntime(built(wasm, "mbert.wasm"))
    assert engine.instruction_set == "wasm-simd128"
    check(engine, native, with_8_bit_weights(ffn_feed(WIDTHS[1], 9)), WIDTHS[1])
    check(engine, native, attention_feed(WIDTHS[1], [17, 3]), WIDTHS[1])


@pytest.mark.parametrize("name", ["wasm-relaxed", "wasm-relaxed-unsigned", "wasm-simd128"])
@pytest.mark.parametrize(
    ("widths", "tokens", "lengths"),
    [
        pytest.param(WIDTHS[1], [1, 6, 13], [[1], [17, 3]], id="odd"),
        pytest.param(WIDTHS[2], [2, 70], [[33, 33, 5], [6]], id="one head", marks=pytest.mark.full),
        pytest.param(WIDTHS[0], [1, 2, 3, 5, 8, 33, 130], [[6], [40, 3], [384]], id="full", marks=pytest.mark.full),
    ],
)
def test_blocks(
    name: str,
    widths: Widths,
    tokens: list[int],
    lengths: list[list[int]],
    engines: dict[str, WasmRuntime],
    native: Runtime,
) -> None:
    for given in [ffn_feed(widths, n, seed=n) for n in tokens] + [attention_feed(widths, n) for n in lengths]:
        half = {key: value.astype(np.float16) if key.startswith("weight") else value for key, value in given.items()}
        for one in (given, half, with_8_bit_weights(given)):
            check(engines[name], native, one, widths)


def test_weights_of_the_largest_magnitudes(engines: dict[str, WasmRuntime], native: Runtime) -> None:
    given, random = with_8_bit_weights(ffn_feed(WIDTHS[1], 6)), np.random.default_rng(0)
    extremes = np.array([-128, -127, -1, 0, 127], np.int8)
    largest = {
        name: random.choice(extremes, array.shape) if array.dtype == np.int8 else array for name, array in given.items()
    }
    for engine in engines.values():
        check(engine, native, largest, WIDTHS[1])


def test_a_tensor_of_more_bytes_than_addresses_reach_is_refused(engines: dict[str, WasmRuntime]) -> None:
    # Of 2²⁹ + 1 numbers of 8 bytes, 32 bits have the number of bytes as 8.
    feed = {"x": np.array(0), "z": np.array(2**29 + 1), "one": np.array(1)}
    model = function_model("y = Range(x, z, one)", feed, [("y", INT64)])
    with pytest.raises(AssertionError, match="from 0 to 536870913 by 1; expected numbers that fit"):
        engines["wasm-simd128"].run(model, feed)


@pytest.mark.full
def test_a_block_that_needs_more_memory_than_addresses_reach_is_refused(engines: dict[str, WasmRuntime]) -> None:
    # The scratch memory of 2²⁴ tokens takes 5 GB, of which 32 bits have 1 GB.
    widths = Widths(hidden=1, intra=8, heads=1)
    feed = {**attention_feed(widths, [1]), "x": np.zeros((2**24, 1)), "heads": np.array([2**20, 16, 1, 8])}
    given = {name: feed[name] if name == "heads" else feed[name].astype(np.float32) for name in ("x", "mask", "heads")}
    with pytest.raises(AssertionError, match=r"no memory for \d+ KB is left"):
        engines["wasm-simd128"].run(model_of(feed, widths), given)


def test_rows_that_are_too_long_to_be_widened(engines: dict[str, WasmRuntime], native: Runtime) -> None:
    widths = Widths(hidden=8, intra=8, wide=16388, networks=1)
    check(engines["wasm-simd128"], native, with_8_bit_weights(ffn_feed(widths, 3)), widths)


@pytest.mark.full
@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("is_signed", [True, False])
def test_both_dot_products_in_v8(is_signed: bool, wasm: Path, native: Runtime, tmp_path: Path) -> None:
    module = tmp_path / "simulated.wasm"
    module.write_bytes(with_simulated_dot(built(wasm, "mbert-relaxed.wasm").read_bytes(), is_signed))
    widths, model = WIDTHS[1], tmp_path / "model.onnx"
    for given in (ffn_feed(widths, 13), attention_feed(widths, [17, 3])):
        given = with_8_bit_weights(given)
        model.write_bytes(model_of(given, widths))
        with native.model(model) as loaded:
            expected = loaded.run(feed_of(given))
        found, printed = run_in_node(str(NODE), module, model, feed_of(given), tmp_path / "run")
        assert printed["instructionSet"] == ("wasm-relaxed" if is_signed else "wasm-relaxed-unsigned")
        assert_same(found, expected, 0.0)
