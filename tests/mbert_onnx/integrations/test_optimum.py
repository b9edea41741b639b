"""Our bundles open in optimum's classes for ONNX Runtime, and answer there as transformers' models do."""

from __future__ import annotations

import pytest
import torch
from exported_checkpoints import Exports
from small_checkpoints import some_ids

ort = pytest.importorskip("optimum.onnxruntime.modeling", exc_type=ImportError)


CLASSES = {
    "question-answering": "ORTModelForQuestionAnswering",
    "text-classification": "ORTModelForSequenceClassification",
    "token-classification": "ORTModelForTokenClassification",
    "fill-mask": "ORTModelForMaskedLM",
    "multiple-choice": "ORTModelForMultipleChoice",
    "feature-extraction": "ORTModelForFeatureExtraction",
    "sentence-similarity": "ORTModelForFeatureExtraction",
}


@pytest.mark.parametrize(("task", "name"), CLASSES.items(), ids=list(CLASSES))
def test_optimum_opens_a_bundle(task: str, name: str, exported: Exports) -> None:
    found = exported(task)
    ours = getattr(ort, name).from_pretrained(found.bundle)
    theirs = found.theirs
    feed = some_ids(theirs.config, choices=task == "multiple-choice")
    with torch.no_grad():
        expected = theirs(**feed)
    answered = ours(**feed)
    real = feed["attention_mask"].bool()
    # Some of its classes have no second output, such as the pooler's.
    outputs = [output for output in expected if answered.get(output) is not None]
    assert outputs[0] == next(iter(expected))
    for output in outputs:
        a, b = answered[output], expected[output]
        if output in ("start_logits", "end_logits", "last_hidden_state"):
            a, b = a[real], b[real]
        assert (a - b).norm() <= 1e-4 * b.norm(), output
