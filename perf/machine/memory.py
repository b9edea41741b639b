"""Peak resident memory of this process, on each operating system."""

from __future__ import annotations

import re
import sys
from pathlib import Path

KIB = 1024


def peak_resident_bytes() -> int:
    """Returns the peak resident size of the calling process, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # Not ru_maxrss: on Linux a child inherits its parent's value, which may be far above its own.
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * KIB
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB
