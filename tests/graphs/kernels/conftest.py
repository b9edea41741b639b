"""The instruction sets, in each of which a test of the kernels runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from built_kernels import ISAS

from graphs import kernels


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Makes the kernels use an instruction set of this processor, and returns its name."""
    kernels.force_instruction_set(request.param)
    yield request.param
    kernels.force_instruction_set(None)
