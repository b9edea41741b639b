"""List of the execution providers (`providers`): which are usable here, and what each needs of a model."""

from __future__ import annotations

from dataclasses import replace

from mbert_onnx.runtime.native_kernels import kernels
from perf.providers import KNOWN, Standing, standing


def providers() -> list[Standing]:
    """Returns the state of every known provider on this machine, in the order of `perf.providers.KNOWN`.

    The library of a plugin provider is loaded, to query its devices.
    """
    return [_standing(item) for item in map(standing, KNOWN)]


def _standing(found: Standing) -> Standing:
    if not found.provider.kernels or kernels().library is not None:
        return found
    return replace(found, usable=False, why_not=f"this installation has no native kernels. {found.provider.how}")
