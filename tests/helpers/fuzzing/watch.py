"""Watch over a reader: its file accesses, by Python's audit events, and its time."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

# Events by what they do to a path; `open` depends on its flags.
WRITES = {
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "shutil.rmtree",
    "shutil.move",
}
READS = {"os.listdir", "os.scandir"}
# Events that no reader of files may cause.
FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"}
EVENTS = WRITES | READS | FORBIDDEN | {"open"}

# The arguments that are paths, of events whose first is not the only one, and the position of an open folder.
FIRST = slice(0, 1)
PATHS = {"os.rename": slice(0, 2), "os.link": slice(1, 2), "os.symlink": slice(1, 2)}
FOLDERS = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.rename": 2, "os.link": 3, "os.symlink": 2}

WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# What any Python program reads: its packages, and descriptions of the machine.
REPOSITORY = Path(__file__).resolve().parents[3]
PLACES = (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(REPOSITORY), "/proc", "/sys", "/usr")
SYSTEM = [os.path.realpath(path) for path in PLACES]
DEVICES = ("/dev/null", "/dev/urandom")


class TooLong(BaseException):
    """A reader that runs longer than allowed; not an Exception, which the reader could take for a fault of a file."""


@dataclass
class Watch:
    """Accesses outside of the allowed folders, while it is active.

    Args:
        readable: Folders of the input.
        writable: Folders of the output and of temporary files, which may be read, too.
    """

    readable: Sequence[Path]
    writable: Sequence[Path]
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._writable = [os.path.realpath(path) for path in self.writable]
        self._readable = [*self._writable, *(os.path.realpath(path) for path in self.readable), *SYSTEM]

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Records an event that is not allowed."""
        if event in FORBIDDEN:
            self.found.append(f"{event} {str(arguments)[:200]}")
            return
        flags = arguments[2] if event == "open" else 0
        writes = event in WRITES or (isinstance(flags, int) and bool(flags & WRITING_FLAGS))
        allowed = self._writable if writes else self._readable
        paths = [path for path in arguments[PATHS.get(event, FIRST)] if isinstance(path, str | bytes | os.PathLike)]
        for path in paths:  # without any, a file that is open already
            real = os.path.realpath(Path(_folder_of(event, arguments), os.fsdecode(path)))
            if real not in DEVICES and not any(
                real == inside or real.startswith(inside + os.sep) for inside in allowed
            ):
                self.found.append(f"{event} {'writes' if writes else 'reads'} {real}")


def _folder_of(event: str, arguments: tuple[Any, ...]) -> str:
    """Returns the open folder to which a path is relative, as shutil.rmtree passes it; empty without one."""
    folder = arguments[FOLDERS[event]] if event in FOLDERS else -1
    return f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""


_active: Watch | None = None
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    global _active
    if _active is None or event not in EVENTS:
        return
    watch, _active = _active, None  # its own look at a path is not an access of the reader
    try:
        watch.see(event, arguments)
    finally:
        _active = watch


@contextmanager
def watching(watch: Watch, seconds: float) -> Iterator[None]:
    """Activates a watch. Raises TooLong, in the main thread, after a number of seconds."""
    global _active, _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooLong(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _active = watch
    try:
        yield
    finally:
        _active = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
