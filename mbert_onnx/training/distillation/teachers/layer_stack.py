"""List of an encoder's layers, which can be cut, so that layers that no stage compares are not computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


class LayerStack:
    """List of layers in a module.

    Args:
        parent: The module.
        name: Name of the list in it.
    """

    def __init__(self, parent: nn.Module, name: str) -> None:
        self._parent, self._name = parent, name

    @contextmanager
    def cut(self, depth: int) -> Iterator[None]:
        """Keeps only the first `depth` layers meanwhile."""
        whole = self._parent._modules[self._name]
        assert isinstance(whole, nn.ModuleList)
        self._parent._modules[self._name] = whole[:depth]
        try:
            yield
        finally:
            self._parent._modules[self._name] = whole


def layer_stacks(model: nn.Module, layers: int) -> Iterator[LayerStack]:
    """Yields each list of so many modules in a model."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == layers:
                yield LayerStack(parent, name)
