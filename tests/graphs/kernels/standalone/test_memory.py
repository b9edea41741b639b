"""The memory of the standalone runtime: runs do not add to it, and a model that is unloaded returns all of it."""

from __future__ import annotations

import ctypes

import numpy as np
from kernel_models import Widths, attention_feed, ffn_feed, model_of, with_8_bit_weights
from standalone_models import FLOAT, function_model
from standalone_runtime import Runtime

RUNS = 2000


def test_runs_do_not_grow(runtime: Runtime) -> None:
    widths = Widths(64, 32, 48, 2, 1)
    feed = with_8_bit_weights(attention_feed(widths, [7, 3]))
    given = {name: feed[name] if name == "heads" else feed[name].astype(np.float32) for name in ("x", "mask", "heads")}
    before = runtime.memory()
    with runtime.model(model_of(feed, widths)) as model:
        model.run(given)
        loaded = runtime.memory()
        for _ in range(RUNS):
            model.run(given)
        assert runtime.memory() == loaded
    assert runtime.memory() == before


def test_several_models_at_once(runtime: Runtime) -> None:
    widths = Widths(64, 32, 48, 2, 1)
    feeds = [ffn_feed(widths, 5, seed) for seed in range(3)]
    before = runtime.memory()
    models = [runtime.model(model_of(feed, widths)) for feed in feeds]
    for model, feed in zip(models, feeds, strict=True):
        model.run({name: feed[name].astype(np.float32) for name in ("x", "residual")})
        model.__exit__(None, None, None)
    assert runtime.memory() == before


def test_weights_that_are_packed_are_in_memory_once(runtime: Runtime) -> None:
    weight = np.zeros((512, 1024), np.float32)
    feed = {"x": np.zeros((2, 512), np.float32)}
    before = runtime.memory()
    with runtime.model(function_model("y = MatMul(x, w)", feed, [("y", FLOAT)], {"w": weight})) as model:
        assert model.run(feed)["y"].shape == (2, 1024)
        assert runtime.memory() - before < 1.1 * weight.nbytes


def test_tensors_are_released_after_their_last_reader(runtime: Runtime) -> None:
    feed = {"x": np.zeros(2**18, np.float32)}
    body = "a_0 = Add(x, x) " + " ".join(f"a_{i + 1} = Add(a_{i}, x)" for i in range(20)) + " y = Add(a_20, x)"
    with runtime.model(function_model(body, feed, [("y", FLOAT)])) as model:
        loaded = runtime.memory()
        model.run(feed)
        assert runtime.memory() - loaded < 1.1 * feed["x"].nbytes


def test_memory_that_is_made_larger_keeps_its_bytes(runtime: Runtime) -> None:
    before = runtime.memory()
    memory = runtime.extend(None, 0)
    for size in (1, 100, 64, 100_000):
        memory = runtime.extend(memory, size)
        assert memory % 64 == 0
        ctypes.memset(memory + size - 1, size % 251, 1)
    assert runtime.memory() - before == 100_000
    assert [ctypes.string_at(memory + size - 1, 1)[0] for size in (1, 100, 64)] == [1, 100, 64]
    runtime.release(memory)
    assert runtime.memory() == before


def test_the_memory_of_a_file_can_be_given_away(runtime: Runtime) -> None:
    widths = Widths(64, 32, 48, 2, 1)
    model = model_of(ffn_feed(widths, 5), widths)
    before = runtime.memory()
    for file in (model, model[: len(model) // 2]):
        memory = runtime.allocate(len(file))
        ctypes.memmove(memory, file, len(file))
        loaded = runtime.load_owned(memory, len(file), 1)
        assert bool(loaded) == (file == model)
        if loaded:
            runtime.unload(loaded)
        assert runtime.memory() == before
