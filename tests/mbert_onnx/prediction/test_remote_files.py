"""`predict` with inputs and outputs of an object store: a stand-in of S3 on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs
import pyarrow.parquet
import pytest

import mbert_onnx
from mbert_onnx.errors import DataError, MbertError, UsageError
from mbert_onnx.prediction.reading import blocks
from mbert_onnx.prediction.report import Progress

moto = pytest.importorskip("moto.server", reason="`make test-clusters` installs moto, a stand-in of S3")
pytestmark = pytest.mark.full

ROWS = 300


@dataclass(frozen=True)
class Store:
    """A bucket: its file system, and the options of a URI that reach it."""

    files: Any
    options: str

    def names(self) -> list[str]:
        found = self.files.get_file_info(pyarrow.fs.FileSelector("bucket", recursive=True))
        return sorted(info.path.removeprefix("bucket/") for info in found if info.type == pyarrow.fs.FileType.File)

    def read(self, name: str) -> bytes:
        return bytes(self.files.open_input_stream(f"bucket/{name}", compression=None).read())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        _, port = server.get_host_and_port()
        yield f"127.0.0.1:{port}"
        server.stop()


@pytest.fixture(params=["environment", "uri"])
def store(request: pytest.FixtureRequest, server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A bucket with a folder of two files; its server is named by an environment variable, or by each URI."""
    files = pyarrow.fs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
    files.create_dir("bucket")
    files.delete_dir_contents("bucket", missing_dir_ok=True)
    monkeypatch.setattr(blocks, "MOST_ROWS", 50)
    for name in ("a", "b"):
        with files.open_output_stream(f"bucket/in/{name}.csv") as stream:
            stream.write(("text\n" + "".join(f"{name} warm film {row}\n" for row in range(ROWS)) + '""\n').encode())
    if request.param == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server}")
        return Store(files, "")
    return Store(files, f"?scheme=http&endpoint_override={server}")


def test_files_of_a_bucket_are_read_and_written(store: Store, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(store.read(f"in/{name}"))
    mbert_onnx.predict("reference", [tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out.csv", workers=1)
    report = mbert_onnx.predict(
        "reference", f"s3://bucket/in{store.options}", f"s3://bucket/new/out.csv{store.options}", workers=2
    )
    assert (report.rows, report.bad, report.output) == (2 * ROWS, 2, "s3://bucket/new/out.csv")
    assert store.read("new/out.csv") == (tmp_path / "out.csv").read_bytes()
    assert b'"s3://bucket/in/a.csv"' in store.read("new/out.csv.errors.jsonl")
    assert store.names() == ["in/a.csv", "in/b.csv", "new/out.csv", "new/out.csv.errors.jsonl"]


def test_an_interrupted_job_continues(store: Store) -> None:
    source, output = f"s3://bucket/in{store.options}", f"s3://bucket/out.parquet{store.options}"

    def stop(state: Progress) -> None:
        if state.rows > ROWS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mbert_onnx.predict("reference", source, output, workers=1, progress=stop)
    assert {"out.parquet.parts/manifest.json", "out.parquet.parts/part-00000.parquet"} <= set(store.names())
    report = mbert_onnx.predict("reference", source, output, workers=1)
    assert report.done_before > ROWS
    assert pyarrow.parquet.read_table("bucket/out.parquet", filesystem=store.files)["text"].to_pylist() == [
        f"{name} warm film {row}" for name in ("a", "b") for row in range(ROWS)
    ]
    assert not any(".parts" in name for name in store.names())


def test_what_is_not_there_or_not_allowed_is_refused(store: Store, tmp_path: Path) -> None:
    def refused(source: str, output: str, kind: type[MbertError], message: str) -> None:
        with pytest.raises(kind, match=message) as error:
            mbert_onnx.predict("reference", source, output, workers=1)
        assert "\n" not in str(error.value)

    local = str(tmp_path / "out.csv")
    refused(f"s3://bucket/c.csv{store.options}", local, DataError, "s3://bucket/c.csv does not exist")
    source = f"s3://bucket/in/a.csv{store.options}"
    refused(source, f"s3://other/out.csv{store.options}", DataError, "s3://other/out.csv.parts cannot be written")
    refused(source, source, UsageError, "--output is s3://bucket/in/a.csv, which is an input")
    inside = f"s3://bucket/in/out.csv{store.options}"
    refused(f"s3://bucket/in{store.options}", inside, UsageError, "inside the input folder s3://bucket/in")
    refused("s3:///", local, UsageError, "s3:/// cannot be opened")
