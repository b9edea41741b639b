"""Model cards, filled in from the results of the trainings, so that no figure is typed by hand.

    python -m examples.reference.card RESULTS CORPUS FOLDER

FOLDER is that of `reference`, with that of `reference:embed` inside. Their texts are in `cards/`, in which `$NAME`
stands for a table or a number.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from examples.experiments.fill_recipe import fill
from examples.reference.choice import best_rate, rates
from examples.reference.results import Figure, arm_difference, figure, sentiment_arms, standings
from mbert_onnx.model.checkpoint_files.int8_weights import SCALE

Table = Callable[[Path, Path], str]
"""Returns a table, given the folder of the results and that of the corpus."""

PRECISIONS = {
    "torch": "torch, float32",
    "portable": "float32, any onnxruntime",
    "native": "float32, native kernels",
    "fp16": "fp16",
    "portable:int8": "int8, any onnxruntime",
    "native:int8": "int8, native kernels",
}
RECALLS = ("recall@1", "recall@5", "recall@10", "mrr")
ARMS = {"transfer": "transfer from the teacher", "none": "no transfer: masked words, then the labels"}


def data(_: Path, corpus: Path) -> str:
    """Texts of the transfer."""
    lines = ["| text | words | documents | from | licence |", "|---|---|---|---|---|"]
    for entry in json.loads((corpus / "corpus.json").read_text(encoding="utf-8")):
        sample = ", a sample" if entry["sampled"] else ""
        lines.append(
            f"| {entry['content']}{sample} | {entry['words']:,} | {entry['documents']:,} | {entry['origin']} "
            f"| {entry['licence']} |"
        )
    return _joined(lines)


def growth(results: Path, _: Path) -> str:
    """Retrieval on the validation articles by text and steps."""
    read = standings(results / "growth.json")
    names = {"minilm": "teacher", "squad-1": "part 1, with the texts of the data folder and WordNet alone"}
    return _retrieval(read, lambda name: names.get(_last(name)) or f"part {name.rpartition('-')[2]}")


def retrieval(results: Path, _: Path) -> str:
    """Retrieval on the test articles, of the student, the student without transfer, and the teacher."""
    read = standings(results / "retrieval.json")
    own, other, teacher = list(read)
    titles = {own: "`reference:embed`", other: "the same student without transfer", teacher: "its teacher"}
    table = _retrieval(read, lambda name: titles[name])
    lines = ["", "Differences in points, paired by question, and the share of the teacher's recall:", ""]
    for metric in RECALLS:
        score = read[own]["scores"][metric]["value"]
        share = 100 * score / read[teacher]["scores"][metric]["value"]
        # The first model is the student: its lead is the other's difference with the other sign.
        found = figure(read[other]["differences"][metric])
        lead = Figure(-found.value, *(None if one is None else -one for one in (found.high, found.low)))
        lines.append(f"- {metric}: {lead.signed} to the student without transfer; {share:.1f} % of the teacher's")
    return table + _joined(lines)


def precisions(results: Path, _: Path) -> str:
    """Accuracy of the sentiment model in each precision, compared with torch."""
    lines = ["| | accuracy | difference, paired by text | agreement |", "|---|---|---|---|"]
    for name, row in standings(results / "precisions.json").items():
        agreement = row["agreement"]
        same = "" if agreement is None else f"{100 * agreement:.2f} %"
        lines.append(
            f"| {_precision(name)} | {figure(row['scores']['accuracy'])} | {_change(row, 'accuracy')} | {same} |"
        )
    return _joined(lines)


def embed_precisions(results: Path, _: Path) -> str:
    """Retrieval of the embedding model in each precision, compared with torch."""
    lines = ["| | recall@10 | difference, paired by question | mean cosine |", "|---|---|---|---|"]
    for name, row in standings(results / "embed-precisions.json").items():
        cosine = "" if row["cosine"] is None else f"{row['cosine']:.5f}"
        score = figure(row["scores"]["recall@10"])
        lines.append(f"| {_precision(name)} | {score} | {_change(row, 'recall@10')} | {cosine} |")
    return _joined(lines)


def tuning(results: Path, _: Path) -> str:
    """Accuracy on the validation reviews at each learning rate; the chosen one is bold."""
    lines = ["| | learning rate: accuracy on the validation reviews, % |", "|---|---|"]
    rows = [(ARMS[arm], results / "tuning.json", f"tuning-{arm}") for arm in ARMS]
    for title, evaluation, prefix in [*rows, ("the teacher", results / "opinion.json", "opinion")]:
        best = best_rate(evaluation, prefix)
        values = [f"{rate}: {100 * accuracy:.2f}" for rate, accuracy in rates(evaluation, prefix).items()]
        marked = [f"**{value}**" if value.startswith(f"{best}: ") else value for value in values]
        lines.append(f"| {title} | {', '.join(marked)} |")
    return _joined(lines)


def test(results: Path, _: Path) -> str:
    """Accuracy on the test reviews: both arms, the teacher, and the bag of words."""
    arms = sentiment_arms(results / "test.json")
    lines = ["| | accuracy on the test reviews, % | with each seed |", "|---|---|---|"]
    for arm, title in ARMS.items():
        each = ", ".join(f"{value:.2f}" for value in arms[arm].seeds)
        lines.append(f"| {title} | {arms[arm].mean:.2f} | {each} |")
    others = {name: row for name, row in standings(results / "test.json").items() if name.startswith("opinion-")}
    lines += [f"| the teacher | {figure(row['scores']['accuracy'])} | |" for row in others.values()]
    bag = json.loads((results / "baseline.json").read_text(encoding="utf-8"))
    lines.append(f"| TF-IDF and logistic regression, chosen by cross-validation | {figure(bag['chosen'])} | |")
    lines.append(f"| the same with scikit-learn's defaults | {figure(bag['defaults'])} | |")
    difference = arm_difference(arms["transfer"], arms["none"])
    texts, seeds = arms["transfer"].right.shape[1], len(arms["transfer"].seeds)
    lines += [
        "",
        f"Transfer changes the accuracy by {difference.signed} points; the interval is over {seeds} seeds and "
        f"{texts:,} texts, paired by both.",
    ]
    return _joined(lines)


CARDS: Mapping[str, Mapping[str, Table]] = {
    "sentiment": {"data": data, "tuning": tuning, "test": test, "precisions": precisions},
    "embed": {"data": data, "growth": growth, "retrieval": retrieval, "precisions": embed_precisions},
}
FOLDERS = {"sentiment": "", "embed": "embed"}
TEXTS = Path(__file__).parent / "cards"


def sizes(folder: Path) -> dict[str, str]:
    """Returns the number of parameters and words of a packed model, as cards write them."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    count = sum(tensor.size for name, tensor in tensors.items() if not name.endswith(SCALE))
    words = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    return {"parameters": f"{count / 1e6:.1f} M", "words": f"{words:,}"}


def _retrieval(read: Mapping[str, Any], title: Callable[[str], str]) -> str:
    lines = [f"| | {' | '.join(f'{metric}, %' for metric in RECALLS)} |", "|---|---|---|---|---|"]
    for name, row in read.items():
        lines.append(f"| {title(name)} | {' | '.join(str(figure(row['scores'][metric])) for metric in RECALLS)} |")
    return _joined(lines)


def _precision(name: str) -> str:
    return PRECISIONS[name.partition(":reference")[0]]


def _change(row: Mapping[str, Any], metric: str) -> str:
    return figure(row["differences"][metric]).signed if row["differences"] else ""


def _last(name: str) -> str:
    return Path(name).name


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def main(results: Path, corpus: Path, folder: Path) -> None:
    """Writes both cards, or none if a result is missing."""
    try:
        written = {}
        for card, tables in CARDS.items():
            place = folder / FOLDERS[card]
            values = {name: table(results, corpus).rstrip() for name, table in tables.items()}
            written[place / "README.md"] = fill(TEXTS / f"{card}.md", {**values, **sizes(place)})
        for path, text in written.items():
            path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"card: {error}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
