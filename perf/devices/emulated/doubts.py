"""What in an emulated machine's report is to be doubted."""

from __future__ import annotations

from collections.abc import Sequence

from perf.devices.emulated.emulator import Emulator
from perf.devices.emulated.report import Count
from perf.presentation.warnings import ANOTHER


def doubts(emulator: Emulator, counts: Sequence[Count], interrupted: bool) -> list[str]:
    """The warnings, in the order of their causes: processors, the interrupt, the emulator, models."""
    found = list(emulator.refused)
    if interrupted:
        found.append("interrupted: models after the last one of the table were not run")
    if not emulator.counts:
        found.append(
            f"nothing was counted: qemu {emulator.version} takes no plugin here; expected a qemu-user that does, such "
            "as that of Debian 12, or one built with --enable-plugins"
        )
    worst: dict[str, Count] = {}
    for count in counts:
        if count.difference is not None and not count.difference <= ANOTHER:
            known = worst.get(count.subject)
            if known is None or not count.difference <= (known.difference or 0.0):
                worst[count.subject] = count
    return found + [
        f"{name} does not say on aarch64 what it says here: its outputs differ by {count.difference:.2g} of how much "
        f"they vary at {count.seq_len} tokens on {count.processor}"
        for name, count in worst.items()
    ]
