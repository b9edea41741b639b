"""The engine of a Ray cluster: three nodes on this machine, of which one is killed; clusters that cannot be used."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mbert_onnx
from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.prediction.reading import blocks
from mbert_onnx.prediction.report import Progress

ray = pytest.importorskip("ray", reason="`make test-full` installs Ray into an environment of its own")
pytestmark = pytest.mark.full

from ray.cluster_utils import Cluster as Nodes  # noqa: E402

from mbert_onnx.prediction.engines.cluster import connection  # noqa: E402
from mbert_onnx.prediction.engines.cluster.worker import worker_class  # noqa: E402

WORDS = ["ada", "wrote", "the", "first", "program", "in", "london", "for", "the", "engine", "of", "charles", "babbage"]
# The memory of a node's objects, in bytes: Ray takes no less.
OBJECTS = 80_000_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of the nodes, which they take from the environment that they are started in."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBERT_ONNX_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def nodes(cache: Path) -> Iterator[Nodes]:
    """A cluster of three nodes with one core each."""
    folder = tempfile.mkdtemp(prefix="", dir="/tmp")  # the names of its sockets may not be longer
    options = {"num_cpus": 1, "object_store_memory": OBJECTS}
    with pytest.MonkeyPatch.context() as patch:
        # Ray writes the address of the cluster into the folder `ray` there, whatever its option `temp_dir` says.
        patch.setenv("RAY_TMPDIR", folder)
        cluster = Nodes(initialize_head=True, head_node_args={**options, "include_dashboard": False})
        for _ in range(2):
            cluster.add_node(**options)
        yield cluster
        cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bundle(runtime_bundle: Callable[..., Any]) -> Path:
    return Path(runtime_bundle("text-classification").folder)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """20,000 rows in chunks of 20, some of them without a text: more than a cluster answers before it misses a node."""
    monkeypatch.setattr(blocks, "MOST_ROWS", 20)
    path = tmp_path / "rows.csv"
    texts = (" ".join(WORDS[place % 7 :][: place % 11]) for place in range(20_000))
    path.write_text("id,text\n" + "".join(f"{place},{text}\n" for place, text in enumerate(texts)))
    return path


def test_no_row_is_lost_or_repeated_where_a_node_is_killed(nodes: Nodes, bundle: Path, rows: Path, cache: Path) -> None:
    local, remote = rows.with_name("local.csv"), rows.with_name("remote.csv")
    expected = mbert_onnx.predict(bundle, rows, local, workers=1)
    notes: list[str] = []
    killed: list[Any] = []

    def kill(state: Progress) -> None:
        if state.rows > 1_000 and not killed:
            killed.append(nodes.list_all_nodes()[-1])
            nodes.remove_node(killed[0], allow_graceful=False)

    report = mbert_onnx.predict(
        bundle, rows, remote, engine="ray", address=nodes.address, progress=kill, notes=notes.append
    )
    assert killed
    assert notes[0] == "Ray: 3 nodes with 3 cores, 3 workers of 1 thread"
    assert "was lost" in notes[1]
    assert (report.rows, report.bad) == (expected.rows, expected.bad)
    assert report.bad > 0
    assert remote.read_bytes() == local.read_bytes()
    assert Path(f"{remote}.errors.jsonl").read_bytes() == Path(f"{local}.errors.jsonl").read_bytes()
    assert len([path for path in (cache / "copies").iterdir() if path.is_dir()]) == 1
    assert not ray.is_initialized()


def test_the_command_is_terminated_as_without_ray(nodes: Nodes, bundle: Path, rows: Path) -> None:
    command = [sys.executable, "-m", "mbert_onnx", "predict", str(bundle), str(rows), "--output"]
    options = [str(rows.with_name("out.csv")), "--engine", "ray", "--address", nodes.address]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("mbert-onnx: Ray: ")
        process.terminate()
        assert process.stderr.read() == "mbert-onnx: terminated; no file is left half-written\n"
    assert process.returncode == 128 + signal.SIGTERM


def test_a_node_with_another_version_of_this_package_is_named(
    nodes: Nodes, bundle: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbert_onnx, "__version__", "9.9.9")
    with pytest.raises(MbertError, match=r"the cluster's node \S+ has mbert-onnx \d.*, expected mbert-onnx 9\.9\.9"):
        mbert_onnx.predict(bundle, rows, rows.with_name("out.csv"), engine="ray", address=nodes.address)


def test_a_node_without_this_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mbert_onnx", None)
    _, reason = worker_class()().load("0.1.0", b"", [])
    assert reason.startswith("has no mbert-onnx (")


def test_a_cluster_of_another_python_is_named_in_one_line(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray compares what this returns with what the cluster has recorded.
    monkeypatch.setattr("ray._private.utils.compute_version_info", lambda: (ray.__version__, "3.99.1"))
    with pytest.raises(MbertError) as error, connection.connected(nodes.address):
        pass
    python = ".".join(map(str, sys.version_info[:3]))
    assert str(error.value) == (
        f"the cluster at {nodes.address} has Python {python} and Ray {ray.__version__}, and this process Python 3.99.1 "
        f"and Ray {ray.__version__}; expected the same: run the command with the cluster's versions"
    )
    ray.shutdown()


def test_an_address_where_nothing_answers_is_refused_within_seconds(bundle: Path, rows: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    since = time.monotonic()
    with pytest.raises(MbertError, match=f"no Ray cluster answers at {address} .*give the --address of its head node"):
        mbert_onnx.predict(bundle, rows, rows.with_name("out.csv"), engine="ray", address=address)
    assert time.monotonic() - since < 60


def test_a_port_of_another_program_is_refused() -> None:
    with socket.create_server(("", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(MbertError, match=f"no Ray cluster answers at {address}"), connection.connected(address):
            pass


@pytest.mark.parametrize(
    ("address", "message"),
    [("nonsense", "expected HOST:PORT"), ("host:x", "expected HOST:PORT"), ("ray://host:10001", "Ray client")],
)
def test_an_address_of_another_form_is_refused(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), connection.connected(address):
        pass
