"""The connection to a Ray cluster, with errors in one line and within seconds where Ray waits for minutes."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import ray

from mbert_onnx.errors import MbertError, UsageError

# Seconds until a node that does not answer counts as one that cannot be reached.
PATIENCE = 5
# The environment variable from which Ray takes the address if none is given.
ADDRESS = "RAY_ADDRESS"
AUTO = "auto"

# Ray's own limits for a port that is open and not that of a cluster: attempts, and seconds of each; by default it waits
# for 10 minutes.
LIMITS = {"RAY_gcs_server_port_wait_time_s": "1", "RAY_py_gcs_connect_timeout_s": str(PATIENCE)}
# A cluster that is started here does not report its use to Ray's developers.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}

_VERSIONS = re.compile(r"Ray: (?P<ray>\S+)\s+Python: (?P<python>\S+)")
ADVICE = "give the --address of its head node, HOST:PORT, as `ray start --head` shows it"


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connects to a cluster, and ends the connection with the block. A connection of the calling program is kept.

    Args:
        address: HOST:PORT of the head node; default: that of RAY_ADDRESS, or of a cluster on this machine, or else a
            new one with the cores of this machine.

    Raises UsageError for an address of another form; MbertError for a cluster that cannot be reached, or that has other
    versions of Ray or Python.
    """
    if ray.is_initialized():
        yield
        return
    given = address or os.environ.get(ADDRESS) or AUTO
    if given != AUTO:
        _check_address(given)
    with _environment(LIMITS | QUIET), _own_termination():
        try:
            _connect(given)
        except ConnectionError as error:
            if address is not None or given != AUTO:
                raise _unreachable(given, error) from error
            ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        with _without_logs():
            yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError:
        raise
    except Exception as error:  # Ray has no common class for these
        if (versions := _other_versions(address, str(error))) is not None:
            raise MbertError(versions) from error
        raise _unreachable(address, error) from error


def _check_address(address: str) -> None:
    """Raises UsageError for an address that is not HOST:PORT, and MbertError where nothing answers there."""
    if address.startswith("ray://"):
        raise UsageError(
            f"--address is {address}, that of a Ray client; expected HOST:PORT of the head node: run the command on a "
            "node of the cluster, or there with `ray job submit`"
        )
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or address != parts.netloc:
        raise UsageError(f"--address is {address!r}; expected HOST:PORT of the cluster's head node, or {AUTO}")
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> MbertError:
    reason = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]
    return MbertError(f"no Ray cluster answers at {address} ({reason.rstrip('.')}); {ADVICE}")


def _other_versions(address: str, message: str) -> str | None:
    """Returns the line for a cluster with other versions than this process has; None for another message of Ray."""
    found = [match.groupdict() for match in _VERSIONS.finditer(message)]
    if len(found) != 2:
        return None
    theirs, ours = found
    return (
        f"the cluster at {address} has Python {theirs['python']} and Ray {theirs['ray']}, and this process Python "
        f"{ours['python']} and Ray {ours['ray']}; expected the same: run the command with the cluster's versions"
    )


@contextmanager
def _without_logs() -> Iterator[None]:
    """Keeps Ray from printing the end of a lost node's log on standard output, for which it has no option."""
    module = sys.modules.get("ray._private.worker")
    name = "print_to_stdstream"
    before = getattr(module, name, None)
    if module is None or before is None:
        yield
        return
    setattr(module, name, lambda *_, **__: None)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def _own_termination() -> Iterator[None]:
    """Keeps the handler of SIGTERM that the program has; Ray's prints its stack and aborts."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables that are not set, for as long as Ray reads them."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
