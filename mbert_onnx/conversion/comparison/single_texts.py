"""Texts of a batch, run one by one and without padding: the judge of files whose answers do not depend on padding."""

from __future__ import annotations

import numpy as np

from mbert_onnx.bundles.types import Feed, Outputs, Runner
from mbert_onnx.text.tasks import Task


def single_texts(run: Runner, task: Task) -> Runner:
    """Returns a runner that runs each text of a feed alone, cut to its own length.

    The outputs have the shapes of the whole feed, with zeros at padding. Padding is to the right of a text. A text
    without a real token stays as it is. A fixed batch is filled with copies of the text.
    """

    def run_each(feed: Feed) -> Outputs:
        mask = np.asarray(feed["attention_mask"])
        leading, length = mask.shape[:-1], mask.shape[-1]
        whole: dict[str, np.ndarray] = {}
        for place in np.ndindex(leading):
            count = int(mask[place].sum()) or length
            alone = {name: np.tile(ids[place][:count], (*leading, 1)) for name, ids in feed.items()}
            for name, value in run(alone).items():
                if name not in task.output_names:
                    continue
                values = np.asarray(value)
                if name not in whole:
                    per_token = "sequence" in task.axes(name)
                    shape = (*leading, length, *values.shape[len(leading) + 1 :]) if per_token else values.shape
                    whole[name] = np.zeros(shape, values.dtype)
                target = whole[name][place]
                if "sequence" in task.axes(name):
                    target[:count] = values[place]
                else:
                    whole[name][place] = values[place]
        return whole

    return run_each
