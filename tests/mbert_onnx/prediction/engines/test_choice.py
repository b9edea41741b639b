"""Options of the engines: refused where they do not belong together, and packages that are missing."""

from __future__ import annotations

import importlib.util

import pytest

from mbert_onnx.errors import MissingExtraError, UsageError
from mbert_onnx.prediction.engines.choice import check_engine


def test_options_of_another_engine_are_refused() -> None:
    with pytest.raises(UsageError, match="--engine is 'spark'; expected local, ray"):
        check_engine("spark", None, None)
    with pytest.raises(UsageError, match="--address is for --engine ray; pass that, too"):
        check_engine("local", "10.0.0.1:6379", None)
    with pytest.raises(UsageError, match="--workers is auto with --engine ray; expected a number"):
        check_engine("ray", None, "auto")


def test_ray_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(MissingExtraError) as error:
        check_engine("ray", None, None)
    assert str(error.value) == "--engine ray needs ray, not installed here: pip install 'mbert-onnx[ray]'"
