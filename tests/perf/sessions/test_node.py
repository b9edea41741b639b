"""Sessions in Node.js, on a package that stands for onnxruntime-web: answers, times, memory, and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from perf_models import token_model

from perf.errors import PerfError, PerfUsageError
from perf.machine import footprint
from perf.providers import CPU, named
from perf.sessions.runtimes import MBERT_WEB, ORT_WEB, runtime_named
from perf.sessions.runtimes.node_session import process, session
from perf.sessions.runtimes.onnxruntime_session import open_session
from perf.sessions.session import timer
from perf.sessions.worker import Worker

ROOT = Path(__file__).parents[3]
REAL = ROOT / "examples" / "web" / "node_modules" / "onnxruntime-web"
NODE = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
FEED = {"input_ids": np.array([[1, 2, 3]]), "attention_mask": np.array([[1.5, 0, 1]], np.float32)}

# Its outputs are its inputs, of which the ids are printed on the way; an id of 9 ends the process.
PACKAGE = """
class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
const env = { wasm: {} };
let released = 0;
const InferenceSession = {
  async create(bytes) {
    if (bytes.length < 9) throw new Error("two\\nlines");
    return {
      inputMetadata: [
        { name: "input_ids", type: "int64", shape: ["batch", 3] },
        { name: "attention_mask", type: "float32", shape: ["", 3] },
      ],
      outputNames: ["attention_mask", "input_ids", "state"],
      async run(feeds) {
        console.log(feeds.input_ids.data);
        if (feeds.input_ids.data[0] === 9n) {
          process.stderr.write("const a;\\nRangeError: out of memory\\n    at a\\n");
          process.exit(7);
        }
        return { ...feeds, state: new Tensor("int32", Int32Array.of(env.wasm.numThreads, released), [2]) };
      },
      async release() { released++; },
    };
  },
};
module.exports = { Tensor, env, InferenceSession };
"""

OWN_PACKAGE = """
export async function load(url, { threads }) {
  const info = { instructionSet: "wasm-x", note: `${threads} threads` };
  const outputs = [{ name: "input_ids" }];
  return { info, outputs, inputs: [{ name: "input_ids", type: "int64", shape: [1, 3] }], run: async (feed) => feed };
}
"""


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "package"
    folder.mkdir()
    record = {
        "name": "onnxruntime-web",
        "version": "1.2",
        "exports": {".": "./a.js", "./package.json": "./package.json"},
    }
    (folder / "package.json").write_text(json.dumps(record))
    (folder / "a.js").write_text(PACKAGE)
    yield folder
    session._process.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return token_model(tmp_path / "a b.onnx")


@NODE
def test_a_session_runs_and_times_itself_in_the_process(package: Path, file: Path) -> None:
    runtime = runtime_named(ORT_WEB)
    one = runtime.open_session(file, CPU, 2, package)
    assert [(item.name, item.type, item.shape) for item in one.get_inputs()] == [
        ("input_ids", "tensor(int64)", ("batch", 3)),
        ("attention_mask", "tensor(float)", (None, 3)),
    ]
    mask, ids, state = one.run(None, FEED)
    np.testing.assert_array_equal(mask, FEED["attention_mask"], strict=True)
    np.testing.assert_array_equal(ids, FEED["input_ids"], strict=True)
    assert list(state) == [2, 0]
    run = timer(one, FEED)
    assert run(False) > 0
    assert run(True) > 0
    assert runtime.describe(one).startswith("onnxruntime-web 1.2 (wasm-simd128, Node.js ")
    assert runtime.placement(one).operators == {"onnxruntime-web": {"Gather": 1, "MatMul": 1}}
    other = runtime.open_session(file, CPU, 2, package)
    del one, run  # which the next request releases
    assert list(other.run(None, FEED)[2]) == [2, 1]


@NODE
def test_mbert_onnx_web_is_asked_by_its_own_names(file: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "lib").mkdir(parents=True)
    (tmp_path / "own" / "package.json").write_text('{"version": "3.4", "type": "module"}')
    (tmp_path / "own" / "lib" / "index.js").write_text(OWN_PACKAGE)
    runtime = runtime_named(MBERT_WEB)
    one = runtime.open_session(file, CPU, 2, tmp_path / "own")
    assert runtime.describe(one).startswith("mbert-onnx-web 3.4 (wasm-x, 2 threads, Node.js ")
    np.testing.assert_array_equal(one.run(None, FEED)[0], FEED["input_ids"], strict=True)
    assert timer(one, FEED)(True) > 0
    session._process.cache_clear()


@NODE
def test_its_errors_are_one_line(package: Path, file: Path, tmp_path: Path) -> None:
    runtime = runtime_named(ORT_WEB)
    (tmp_path / "broken.onnx").write_bytes(b"no")
    for given, library, says in (
        (tmp_path / "none.onnx", package, r"no file .*none\.onnx; expected a \.onnx model"),
        (tmp_path / "broken.onnx", package, r"onnxruntime-web cannot load .*broken\.onnx: two lines$"),
        (file, None, r"a b\.onnx is to run in onnxruntime-web, expected the folder of that npm package"),
        (file, tmp_path / "none", r"the Node\.js process .* ended with exit 1 \(.*Cannot find .*\)$"),
    ):
        with pytest.raises(PerfError, match=says):
            runtime.open_session(given, CPU, 1, library)
    with pytest.raises(PerfUsageError, match="runs in onnxruntime-web on the CPU, not on azure"):
        runtime.open_session(file, named("azure"), 1, package)
    found = runtime.open_session(file, CPU, 1, package)
    with pytest.raises(PerfError, match=r"ended with exit 7 \(RangeError: out of memory\)$"):
        found.run(None, {**FEED, "input_ids": np.array([[9, 1, 1]])})


@NODE
def test_a_worker_passes_the_package_on(package: Path, file: Path) -> None:
    worker = Worker(ORT_WEB, None)
    far = worker.open(file, "cpu", 1, package)
    assert timer(far, FEED)(True) > 0
    np.testing.assert_array_equal(far.run(None, FEED)[1], FEED["input_ids"])
    worker.close()


@NODE
def test_a_footprint_is_that_of_the_process(package: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = footprint.Request(str(file), ORT_WEB, "cpu", 1, batch=1, seq_len=3, vocab_size=8, library=str(package))
    footprint.answer(json.dumps(asdict(request)))
    found = json.loads(capsys.readouterr().out.removeprefix(footprint.ANSWER))
    assert 0 < found["load_ms"] < 1000  # without the start of Node.js
    assert 0 < found["peak_bytes"] < 50e6


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, r"^Node\.js is not installed, which runs WebAssembly here; install Node\.js 20 or newer"),
        ("echo v18.19.0", r"node is Node\.js v18\.19\.0, expected 20 or newer; install"),
        ("echo none", r"node prints no version \(.*\); install"),
        ("exit 3", r"node prints no version \(.*exit status 3\.\); install"),
    ],
)
def test_node_that_is_missing_or_old(
    script: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    process.find_node.cache_clear()
    if script is not None:
        (tmp_path / "node").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "node").chmod(0o755)
    with pytest.raises(PerfError, match=says):
        process.find_node()
    process.find_node.cache_clear()


@NODE
@pytest.mark.full
@pytest.mark.skipif(not REAL.is_dir(), reason="`make web` was not run")
@pytest.mark.parametrize("threads", [1, 2])
def test_its_outputs_are_those_of_onnxruntime(threads: int, tmp_path: Path) -> None:
    file = token_model(tmp_path / "a.onnx")
    feed = {"input_ids": np.array([[1, 2, 3]])}
    found = runtime_named(ORT_WEB).open_session(file, CPU, threads, REAL)
    np.testing.assert_allclose(found.run(None, feed)[0], open_session(file, CPU, 1).run(None, feed)[0], rtol=1e-6)
    session._process.cache_clear()
