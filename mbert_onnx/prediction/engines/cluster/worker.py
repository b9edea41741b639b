"""Workers of a Ray cluster: actors, each with one loaded model."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from typing import Any

import ray

import mbert_onnx
from mbert_onnx.prediction.engines.cluster.model_copy import ModelCopy, unpack, unpacked
from mbert_onnx.prediction.predictor import Predictor
from mbert_onnx.prediction.settings import Settings


def worker_class() -> Any:
    """Returns the class of the actors.

    It is made in a function, so that Ray sends its code, and not the name of a module: a node without this package can
    then say so.
    """

    class Worker:
        """An actor; `load` comes before `answers`."""

        def load(self, version: str, work: bytes, archive: list[Any]) -> tuple[str, str | None]:
            """Loads the model; returns the node's address, and why it cannot take part, or None.

            Args:
                version: That of this package where the job is.
                work: The pickled settings and the copy of the model.
                archive: A reference to the model's files; Ray fetches them once for each node, when they are asked for.
            """
            import ray

            node = ray.util.get_node_ip_address()
            try:
                import mbert_onnx
                from mbert_onnx.prediction.engines.cluster.worker import load_predictor
            except ImportError as error:
                found = getattr(mbert_onnx, "__version__", None) if "mbert_onnx" in locals() else None
                return node, f"has mbert-onnx {found} ({error})" if found else f"has no mbert-onnx ({error})"
            if mbert_onnx.__version__ != version:
                return node, f"has mbert-onnx {mbert_onnx.__version__}"
            self._predictor = load_predictor(work, archive)
            return node, None

        def answers(self, arguments: tuple[list[str], ...]) -> Any:
            return self._predictor.answers(arguments)

    return Worker


def packed_work(settings: Settings, copy: ModelCopy | None) -> tuple[str, bytes]:
    """Returns the first two arguments of a worker's `load`."""
    return mbert_onnx.__version__, pickle.dumps((settings, copy))


def load_predictor(work: bytes, archive: list[Any]) -> Predictor:
    """Returns a worker's model, which it unpacks from the archive where this machine does not have it."""
    settings: Settings
    copy: ModelCopy | None
    settings, copy = pickle.loads(work)
    if settings.threads == 1:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it uses the cores of the other workers, too
    if copy is not None:
        path = unpacked(copy) or unpack(copy, ray.get(archive[0]))
        settings = replace(settings, bundle=str(path))
    return Predictor(settings)
