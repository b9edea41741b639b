"""Jobs: a benchmark as plain JSON with its files beside it, to be run on this machine or sent to another."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import onnx_ir as ir
from cattrs.preconf.json import make_converter

from perf.errors import PerfError, PerfUsageError, one_line
from perf.results.model_file import ONE_FILE
from perf.results.report import Failure
from perf.sessions.inputs import SUFFIX
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.subject import Subject
from perf.timing.options import BenchOptions

JOB, REPORT = "job.json", "report.json"
"""The files of a job's folder: the job, and the report after it has run."""

FILES = "files"
"""The folder of its models."""


@dataclass(frozen=True)
class Job:
    """A benchmark that can run on any device.

    Args:
        subjects: The models.
        options: Lengths, threads and the like.
        failures: Failures of models that could not be built.
        kernels: Whether the native kernels of the machine that runs the job compute the models' blocks, as `--kernels`
            takes it.
        own_kernels: The same for single models, by name.
    """

    subjects: tuple[Subject, ...]
    options: BenchOptions = field(default_factory=BenchOptions)
    failures: tuple[Failure, ...] = ()
    kernels: str = "auto"
    own_kernels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PackedJob:
    """A job whose paths are relative to a folder on another machine, and the file here behind each path."""

    job: Job
    files: Mapping[PurePosixPath, Path]

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files.values())

    def write(self, stream: IO[bytes]) -> None:
        """Writes the folder as a tar archive, without the user's name or ids."""
        with tarfile.open(fileobj=stream, mode="w|") as archive:
            _add(archive, JOB, BytesIO(make_converter().dumps(self.job).encode()))
            for name, path in self.files.items():
                with path.open("rb") as file:
                    _add(archive, str(name), file)


def pack(job: Job) -> PackedJob:
    """Collects a job's files: its models, the weights beside them, and the float models that they are compared with.

    Raises:
        PerfUsageError: a model that does not run in onnxruntime.
        PerfError: a file that cannot be read, or weights outside the folder of their model.
    """
    other = next((one for one in job.subjects if one.runtime != ONNXRUNTIME or one.python is not None), None)
    if other is not None:
        where = other.runtime if other.python is None else "an environment of its own"
        raise PerfUsageError(
            f"{other.name} runs in {where}; expected models that onnxruntime runs, since they alone travel to another "
            "device: leave it out, or pass --device local"
        )
    files: dict[PurePosixPath, Path] = {}
    folders: dict[Path, int] = {}

    def packed(path: Path) -> Path:
        # Files of one folder stay together, so that models that share their weights do so there, too.
        folder = PurePosixPath(FILES, str(folders.setdefault(path.parent.resolve(), len(folders))))
        for name in (PurePosixPath(path.name), *_weights(path)):
            files[folder / name] = path.parent / name
        return Path(folder / path.name)

    subjects = tuple(
        replace(
            subject,
            path=packed(subject.path),
            by_length={seq_len: packed(path) for seq_len, path in subject.by_length.items()},
            inputs={seq_len: packed(path) for seq_len, path in subject.inputs.items()},
            reference=None if subject.reference is None else packed(subject.reference),
            library=None,
        )
        for subject in job.subjects
    )
    return PackedJob(replace(job, subjects=subjects), files)


def unpack(folder: Path) -> Job:
    """Reads the job of a folder, with the paths of its files there.

    Raises PerfError for a folder without a job.
    """
    try:
        job = make_converter().loads((folder / JOB).read_text(encoding="utf-8"), Job)
    except Exception as error:  # cattrs raises groups of errors
        raise PerfError(f"{folder / JOB} is no job ({one_line(error)}); expected what bench --device writes") from None
    subjects = tuple(
        replace(
            subject,
            path=folder / subject.path,
            by_length={seq_len: folder / path for seq_len, path in subject.by_length.items()},
            inputs={seq_len: folder / path for seq_len, path in subject.inputs.items()},
            reference=None if subject.reference is None else folder / subject.reference,
        )
        for subject in job.subjects
    )
    return replace(job, subjects=subjects)


def _weights(path: Path) -> Iterable[PurePosixPath]:
    """Returns the files beside a model that hold its weights, relative to its folder."""
    if path.suffix in (*ONE_FILE, SUFFIX):
        return ()
    try:
        graphs = list(ir.load(path).graphs())
    except Exception as error:  # protobuf's, the file system's, or onnx_ir's
        raise PerfError(f"cannot read {path}: {one_line(error)}; expected an .onnx file") from None
    tensors = [value.const_value for graph in graphs for value in graph.initializers.values()]
    names = {PurePosixPath(tensor.location) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    # The rule of onnxruntime, which a link in a cache of blobs passes, and one to any other place does not.
    folders = (path.parent.resolve(), path.resolve().parent)
    for name in names:
        real = (path.parent / name).resolve()
        inside = any(real.is_relative_to(folder) for folder in folders)
        if name.is_absolute() or ".." in name.parts or not inside or not real.is_file():
            raise PerfError(f"{path} has its weights in {name}; expected a file beside it: save the model again")
    return sorted(names)


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, 2)
    file.seek(0)
    archive.addfile(entry, file)
