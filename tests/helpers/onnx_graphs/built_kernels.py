"""The native kernels as they are built here, for the tests that run them."""

from __future__ import annotations

import pytest

from graphs import kernels

LIBRARY = kernels.library()
needs_kernels = pytest.mark.skipif(LIBRARY is None, reason="the kernels are not built here; `make setup` builds them")
# The instruction sets of this processor.
ISAS = [name for name, is_supported in kernels.instruction_sets().items() if is_supported] if LIBRARY else []
