"""`providers`: which execution providers this machine has, and what each wants of a model."""

from __future__ import annotations

from dataclasses import replace

from mbert_onnx.runtime.native_kernels import kernels
from perf.providers import KNOWN, Standing, standing


def providers() -> list[Standing]:
    """All that `bench --provider` knows, in the order in which they are listed.

    A plugin's library is loaded, to ask for its devices.
    """
    return [_standing(item) for item in map(standing, KNOWN)]


def _standing(found: Standing) -> Standing:
    if not found.provider.kernels or kernels().library is not None:
        return found
    return replace(found, usable=False, why_not=f"this installation has no native kernels. {found.provider.how}")
