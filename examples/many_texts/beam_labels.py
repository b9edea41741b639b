"""Labels of texts with Beam: a ModelHandler around a model, for RunInference.

    python beam_labels.py BUNDLE INPUT.txt OUTPUT

INPUT has a text on each line. OUTPUT-00000-of-00001 and so on have a label, a tab and a text on each line; the label is
empty where the model has no answer, as for a text of invisible characters.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

import mbert_onnx


class Labels(ModelHandler[str, PredictionResult, Any]):
    def __init__(self, bundle: str) -> None:
        """Takes the path of a bundle that all workers have, or `reference`."""
        super().__init__(min_batch_size=64, max_batch_size=1024)
        self.bundle = bundle

    def load_model(self) -> Any:
        return mbert_onnx.load(self.bundle, threads=1)

    def run_inference(
        self, batch: Sequence[str], model: Any, inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        answers = model.try_many(batch)  # an error in place of an answer ends no job
        return [PredictionResult(text, getattr(one, "label", "")) for text, one in zip(batch, answers, strict=True)]


if __name__ == "__main__":
    bundle, source, output, *options = sys.argv[1:]
    with beam.Pipeline(argv=options) as pipeline:
        texts = pipeline | beam.io.ReadFromText(source) | beam.Filter(str.strip)
        answers = texts | RunInference(Labels(bundle))
        answers | beam.Map(lambda one: f"{one.inference}\t{one.example}") | beam.io.WriteToText(output)
