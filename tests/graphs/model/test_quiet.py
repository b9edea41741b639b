"""Tests of the sessions' options for verification and calibration."""

from __future__ import annotations

from graphs.model.quiet import quiet_options


def test_waiting_threads_sleep() -> None:
    options = quiet_options()
    for pool in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{pool}.allow_spinning") == "0"
