"""Errors of ssh, in one line with advice."""

from __future__ import annotations

from collections.abc import Sequence

from perf.errors import PerfError

ADVICE = {
    "IDENTIFICATION HAS CHANGED": "expected the key that is known: if it was installed anew, ssh-keygen -R its name",
    "Host key verification failed": "expected a host whose key is known: connect once by hand, and compare it",
    "Permission denied": "expected a key that is taken without a question: see ssh-copy-id and ssh-add",
    "Could not resolve": "expected a name that is known here, or an address",
    "": "expected a machine that is on and runs an SSH server",
}
"""Advice by a part of ssh's message; the first that matches counts."""


def unreached(host: str, said: Sequence[str]) -> PerfError:
    """Returns the error for a connection that failed, from ssh's stderr."""
    found, advice = next((key, advice) for key, advice in ADVICE.items() if key in "\n".join(said))
    reason = next((line for line in said if found and found in line), said[-1] if said else "no message")
    return PerfError(f"cannot reach {host} ({reason.strip('@ ').removeprefix('ssh: ')}); {advice}")


def cut(host: str, said: Sequence[str]) -> PerfError:
    """Returns the error for a connection that broke, from its stderr."""
    reason = f" ({said[-1]})" if said else ""
    return PerfError(
        f"the connection to {host} was cut{reason}; expected it to last until all models are timed: bench them again"
    )
