"""`evaluate`: metrics, matching of label names, questions in windows, and GLUE submission files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exported_checkpoints import Exports
from glue_folders import FILES, write_glue
from small_checkpoints import put_config, save_small
from text_encoders import word_encoder
from typer.testing import CliRunner

from mbert_onnx import evaluate, load
from mbert_onnx.cli.application import app
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.text.tasks import QUESTION_ANSWERING, TEXT_CLASSIFICATION, Task
from mbert_onnx.training.data.glue import TASKS, glue_task, read_glue
from mbert_onnx.training.data.squad import Question
from mbert_onnx.training.evaluation.classification import order_of, predictions_of
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel, ModelOpener
from mbert_onnx.training.evaluation.questions import answers_of
from mbert_onnx.training.evaluation.result import Score
from mbert_onnx.training.evaluation.scores.glue_metrics import METRICS
from mbert_onnx.training.evaluation.submission import write_submission
from perf.sessions.runtimes.torch_session import TorchSession

WORDS = " ".join(line for files in FILES.values() for lines in files.values() for line in lines)
CONTEXT = " ".join(f"word{number}" for number in range(60))


def classifier(folder: Path, labels: int = 2) -> Path:
    folder.mkdir()
    save_small(folder, "MobileBertForSequenceClassification", num_labels=labels, vocab_size=400)
    word_encoder(folder, WORDS)
    return folder


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    return write_glue(tmp_path / "glue_data")


def opened(
    name: str, stack: ExitStack, task: Task = TEXT_CLASSIFICATION, report: Callable[[str], None] = lambda _: None
) -> EvaluatedModel:
    opener = ModelOpener(
        stack,
        task=task,
        max_length=None,
        threads=1,
        kernels="portable",
        seed=0,
        progress=report,
    )
    return opener.open(name)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_own_metrics(name: str, glue: Path, tmp_path: Path) -> None:
    task = glue_task(name)
    model = classifier(tmp_path / "model", 1 if task.labels is None else len(task.labels))
    found = evaluate(model, task=name, data=glue)
    assert [one.split for one in found] == task.validations
    with ExitStack() as stack:
        contender = opened(str(model), stack)
        for one in found:
            split = read_glue(task, glue, one.split)
            rows = [contender.encoder.truncated(e.text, e.pair)[0] for e in split.examples]
            logits = np.stack([values for _, [values] in sorted(contender.run(rows, "logits"))])
            predictions = predictions_of(contender, logits, task.labels)
            expected = {m: METRICS[m](np.array([e.label for e in split.examples]), predictions) for m in task.metrics}
            assert {m: score.value for m, score in one.standings[0].scores.items()} == pytest.approx(expected)


def test_labels_are_matched_by_name_in_any_order() -> None:
    assert order_of(("Positive", "Negative"), ("negative", "positive")) == [1, 0]
    assert order_of(("LABEL_0", "LABEL_1"), ("negative", "positive")) == [0, 1]
    assert order_of(None, ("a", "b", "c")) == [0, 1, 2]


def test_reversed_label_names_reverse_the_accuracy(glue: Path, tmp_path: Path) -> None:
    scores = []
    for name, labels in {"plain": {"0": "0", "1": "1"}, "reversed": {"0": "1", "1": "0"}}.items():
        model = classifier(tmp_path / name)
        put_config(model, id2label=labels, label2id={label: int(n) for n, label in labels.items()})
        [found] = evaluate(model, task="sst2", data=glue)
        scores.append(found.standings[0].scores["accuracy"].value)
    assert scores[0] == pytest.approx(1 - scores[1])


def test_questions_have_the_same_answers_as_in_run(exported: Exports) -> None:
    files = exported()
    questions = [
        Question("short", "where is it ?", " ".join(CONTEXT.split()[:9]), ("word3",), (-1,)),
        Question("long", "where ?", CONTEXT, ("word40",), (-1,)),
    ]
    model = load(files.bundle, kernels="portable")
    with ExitStack() as stack:
        for may_be_impossible in (False, True):
            for name in (str(files.checkpoint), str(files.bundle)):
                answers, rows = answers_of(
                    opened(name, stack, QUESTION_ANSWERING), questions, may_be_impossible=may_be_impossible
                )
                assert len(rows) > len(questions)
                for question in questions:
                    [answer] = model.answer(
                        question.question,
                        question.context,
                        max_answer_len=30,
                        handle_impossible_answer=may_be_impossible,
                    )
                    assert answers[question.id] == answer.answer


@pytest.mark.parametrize("name", TASKS)
def test_submission_files_have_a_valid_prediction_per_example(name: str, glue: Path, tmp_path: Path) -> None:
    task = glue_task(name)
    model = classifier(tmp_path / "model", 1 if task.labels is None else len(task.labels))
    written = write_submission(model, name, glue, tmp_path / "submission")
    expected = {*task.submissions.values(), *(["AX.tsv"] if name == "mnli" else [])}
    assert {path.name for path in written} == expected
    for split, file in task.submissions.items():
        lines = (tmp_path / "submission" / file).read_text().splitlines()
        assert lines[0] == "index\tprediction"
        ids, predictions = zip(*(line.split("\t") for line in lines[1:]), strict=True)
        assert list(ids) == [example.id for example in read_glue(task, glue, split).examples]
        for one in predictions:
            if task.labels is None:
                assert 0 <= float(one) <= 5
                assert len(one.split(".")[1]) == 3
            else:
                assert one in task.labels


def test_invalid_evaluations_are_refused(glue: Path, tmp_path: Path) -> None:
    model = classifier(tmp_path / "model")
    with pytest.raises(UsageError, match="unknown task 'snli'; expected one of cola"):
        evaluate(model, task="snli", data=glue)
    with pytest.raises(UsageError, match="has 2 labels, the data has 3: entailment, neutral, contradiction"):
        evaluate(model, task="mnli", data=glue)
    with pytest.raises(UsageError, match="sst2's test has no labels to evaluate with"):
        evaluate(model, task="sst2", data=glue, split="test")
    (model / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"has no tokenizer\.json, which texts need"):
        evaluate(model, task="sst2", data=glue)


def test_the_result_is_written_as_json(glue: Path, tmp_path: Path) -> None:
    model, file = classifier(tmp_path / "model"), tmp_path / "found.json"
    found = evaluate([model, model], task="sst2", data=glue, json=file)
    written = json.loads(file.read_text())
    assert written == [json.loads(json.dumps(one.as_dict())) for one in found]
    for standing in written[0]["standings"]:
        assert np.mean(standing["by_text"]["accuracy"]) == standing["scores"]["accuracy"]["value"]
    assert found[0].standings[1].agreement == 1


def test_an_unwritable_json_path_is_refused_before_data_is_read(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "found.json"):
        with pytest.raises(UsageError, match=r"--json is .* expected a file in a folder that exists"):
            evaluate("reference", task="sst2", data=tmp_path / "no data", json=place)


def test_nan_and_infinity_are_none_in_json(glue: Path, tmp_path: Path) -> None:
    [found] = evaluate(classifier(tmp_path / "model"), task="sst2", data=glue)
    [standing] = found.standings
    broken = replace(standing, scores={"pearson": Score(math.nan, -math.inf, 0.5)})
    [content] = replace(found, standings=[broken]).as_dict()["standings"]
    assert content["scores"]["pearson"] == {"value": None, "low": None, "high": 0.5}


def test_progress_is_reported_per_tenth_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbert_onnx.training.evaluation.evaluated_model.PROGRESS_SECONDS", -1.0)
    lines: list[str] = []
    with ExitStack() as stack:
        model = opened("reference", stack, report=lines.append)
        rows = [model.encoder.truncated("a film " * 99, None)[0]] * 40  # too long to share a run
        assert len(list(model.run(rows, "logits"))) == 40
    reported = [line for line in lines if line.endswith("of 40 rows")]
    assert reported == [f"reference: {done} of 40 rows" for done in range(4, 41, 4)]


def test_the_scores_of_the_paper_are_printed(glue: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(
        app, ["evaluate", str(classifier(tmp_path / "model")), "--task", "sst2", "--data", str(glue)]
    )
    assert shown.exit_code == 0, shown.output
    assert "MobileBERT 92.8" in shown.stdout
    assert "accuracy" in shown.stdout


def test_the_built_in_model_runs_in_torch() -> None:
    with ExitStack() as stack:
        assert isinstance(opened("reference", stack).session, TorchSession)
