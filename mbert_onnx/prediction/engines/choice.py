"""The engines by name, and the options that each of them has."""

from __future__ import annotations

from collections.abc import Callable

from mbert_onnx.errors import UsageError
from mbert_onnx.errors.requirements import require_extra
from mbert_onnx.prediction.engines.engine import Engine
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.text.name_lists import name_list

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


def check_engine(engine: str, address: str | None, workers: int | str | None) -> None:
    """Checks `engine` and the options that depend on it.

    Raises UsageError for an unknown engine, and for options that it does not have; MissingExtraError where its packages
    are not installed.
    """
    if engine not in ENGINES:
        raise UsageError(f"--engine is {engine!r}; expected {name_list(ENGINES)}")
    if engine != RAY:
        if address is not None:
            raise UsageError(f"--address is for --engine {RAY}; pass that, too, or leave --address out")
        return
    if isinstance(workers, str):
        raise UsageError(
            f"--workers is {workers} with --engine {RAY}; expected a number, or nothing for all cores of the cluster"
        )
    require_extra("ray", f"--engine {RAY}")


def cluster_engine(
    settings: Settings, workers: int | str | None, address: str | None, notes: Callable[[str], None]
) -> Engine:
    """Returns the engine of a Ray cluster, for options that `check_engine` has checked."""
    assert not isinstance(workers, str)
    from mbert_onnx.prediction.engines.cluster.engine import Cluster

    return Cluster(settings, address=address, workers=workers, notes=notes)
