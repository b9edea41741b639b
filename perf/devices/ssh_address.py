"""Address of a machine that ssh reaches."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from perf.errors import PerfUsageError

SCHEME = "ssh"
FORM = "ssh://[user@]host[:port][/path/of/python]"

PYTHON = "python3"


@dataclass(frozen=True)
class Address:
    """`host` is `[user@]host[:port]` as given; `python` the Python program there."""

    host: str
    python: str = PYTHON

    @property
    def destination(self) -> str:
        """The address as ssh takes it."""
        return f"{SCHEME}://{self.host}"


def parse(name: str) -> Address:
    """Parses an address of the form `FORM`. Raises PerfUsageError for any other text."""
    try:
        parts = urlsplit(name)
        sane = parts.scheme == SCHEME and parts.hostname and parts.port != 0 and parts.password is None
    except ValueError:  # a port that is not a number, unbalanced brackets
        sane = False
    if not sane or parts.query or parts.fragment or any(character.isspace() for character in name):
        raise PerfUsageError(f"--device is {name!r}; expected {FORM}")
    return Address(parts.netloc, unquote(parts.path) if parts.path.strip("/") else PYTHON)
