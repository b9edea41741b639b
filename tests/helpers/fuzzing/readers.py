"""The fuzzed readers: the functions behind the commands, each with valid files and the mutations of their formats."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from safetensors.torch import load
from torch import Tensor

import mbert_onnx
from graphs.model.loading import read_model
from mbert_onnx.bundles.proto_file import is_text_file, read_proto
from mbert_onnx.bundles.reader import read_bundle
from mbert_onnx.bundles.records import Records
from mbert_onnx.cli.printing.benchmark import print_bench, print_comparison
from mbert_onnx.cli.printing.diagnosis import print_census
from mbert_onnx.model.checkpoint import CONFIG, load_checkpoint
from mbert_onnx.model.checkpoint_files.config_file import make_config, read_config
from mbert_onnx.model.checkpoint_files.weights import find_weights, read_weights
from mbert_onnx.model.checkpoint_tokenizer.loading import loaded_tokenizer
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.runtime.text_files.record import TextRecord
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.sentence_embedding import read_modules, settings_in
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION
from mbert_onnx.text.text_files import read_text_file, texts_of
from mbert_onnx.text.tokenizer import tokens_without_embedding
from perf.presentation.html import read_quality
from perf.sessions.runtimes.mapping.mapped_weights import without_weights
from tests.helpers.fuzzing import examples
from tests.helpers.fuzzing.byte_mutations import mutated_bytes
from tests.helpers.fuzzing.json_mutations import mutated_json
from tests.helpers.fuzzing.protobuf_mutations import mutated_model
from tests.helpers.fuzzing.safetensors_mutations import mutated_safetensors

Files = Mapping[str, bytes]
Change = Callable[[bytes, Random], bytes]

# Mutations by the end of a file's name, beside those of bytes. Structure finds more than noise does.
STRUCTURAL: dict[str, Change] = {
    ".json": mutated_json,
    ".onnx": mutated_model,
    ".safetensors": mutated_safetensors,
}


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Args:
        name: Its name.
        files: Returns the valid files of its folder.
        mutated: Names of the files that are mutated, one in each input.
        read: Reads the mutated file at a path; may write into an output folder.
        weight: Share of the inputs of a campaign over all readers, by its speed and by what depends on it.
    """

    name: str
    files: Callable[[], Files]
    mutated: Sequence[str]
    read: Callable[[Path, Path], object]
    weight: float

    def changes(self, name: str) -> Sequence[Change]:
        """Returns the mutations of one of its files."""
        change = next((change for end, change in STRUCTURAL.items() if name.endswith(end)), None)
        return (mutated_bytes,) if change is None else (mutated_bytes, change, change)


def _onnx(path: Path, _: Path) -> None:
    with contextlib.suppress(ValueError):  # then onnxruntime copies the weights
        without_weights(path)
    read_model(path)
    read_proto(path)


def _inspect(path: Path, _: Path) -> None:
    print_census(mbert_onnx.inspect(path))


def _text_model(path: Path, _: Path) -> None:
    is_text_file(path)
    print_census(mbert_onnx.inspect(path))
    TextRecord.of(read_model(path).metadata_props, path)


def _optimize(path: Path, output: Path) -> None:
    mbert_onnx.optimize(path, output / "optimized.onnx", overwrite=True)


def _external(path: Path, _: Path) -> None:
    read_model(path.with_name("model.onnx"))


def _config(path: Path, _: Path) -> None:
    make_config("fuzzed", read_config(path.parent), TEXT_CLASSIFICATION, _tensors())


@cache
def _tensors() -> dict[str, Tensor]:
    return load(examples.checkpoint_files()["model.safetensors"])


def _checkpoint(path: Path, output: Path) -> None:
    checkpoint = load_checkpoint(path.parent)
    checkpoint.sentence_embedding()
    checkpoint.config.save_pretrained(output)


def _weights(path: Path, _: Path) -> None:
    found = find_weights(path.parent)
    assert found is not None
    read_weights(found)


def _sentence(path: Path, _: Path) -> None:
    folder = path if path.name != CONFIG else path.parent
    modules = read_modules("fuzzed", folder.parent)
    if modules is not None:
        modules.embedding_settings(16)


def _bundle(path: Path, _: Path) -> None:
    bundle = read_bundle(path.parent)
    if bundle.metadata is not None and "sentence_embedding" in bundle.metadata:
        settings_in(bundle.metadata["sentence_embedding"], path)
    records = Records.read(path.parent)
    records.own_files()
    records.differences({"weights": "ab"})


def _tokenizer(path: Path, _: Path) -> None:
    encoder = TextEncoder(path.with_name("tokenizer.json"), 16)
    tokens_without_embedding(encoder.tokenizer, 8)
    encoder.truncated("A film of covid\u0130 films.", "a b")
    encoder.windows("b covid films " * 9, "a film.")
    assert encoder.mask_id >= 0


def _checkpoint_tokenizer(path: Path, _: Path) -> None:
    with loaded_tokenizer(path.parent):
        pass


def _written_tokenizer(path: Path, output: Path) -> None:
    write_tokenizer(path.parent, output, 12, 16)


def _texts(path: Path, _: Path) -> None:
    for _text in texts_of(read_text_file(path)):
        pass


def _report(path: Path, _: Path) -> None:
    report = mbert_onnx.read_report(path)
    print_bench(report, markdown=False)
    print_bench(report, markdown=True)


def _comparison(path: Path, _: Path) -> None:
    print_comparison(mbert_onnx.compare(path.with_name("old.json"), path))
    print_comparison(mbert_onnx.compare(path, path.with_name("old.json")))


def _quality(path: Path, _: Path) -> None:
    read_quality(path, ["base.onnx", "fused[b]|x.onnx"])


def _page(path: Path, output: Path) -> None:
    mbert_onnx.write_html([path], output / "page.html", quality=path.with_name("quality.json"))


def _report_files() -> Files:
    files = examples.report_files()
    return {**files, "old.json": files["report.json"]}


def _checkpoint_files() -> Files:
    return {**examples.checkpoint_files(), **examples.tokenizer_files(), CONFIG: examples.checkpoint_files()[CONFIG]}


TEXT_FILES = (
    "lines.txt",
    "lines.txt.gz",
    "table.tsv",
    "table.csv",
    "sep.csv",
    "objects.jsonl",
    "objects.json",
    "squad.json",
)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
BUNDLE_FILES = ("config.json", "mbert_onnx.json", "mbert_onnx.json", "tokenizer_config.json")
SENTENCE_FILES = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


def _graph() -> Files:
    return {"model.onnx": examples.graph_file()}


def _mobilebert() -> Files:
    return {"model.onnx": examples.mobilebert_file()}


def _text_file() -> Files:
    return {"text.onnx": examples.text_model_file()}


READERS = (
    Reader("onnx", _graph, ("model.onnx",), _onnx, 12),
    Reader("onnx-mobilebert", _mobilebert, ("model.onnx",), _onnx, 1),
    Reader("onnx-external-data", examples.external_files, ("model.onnx", "model.onnx", "data.bin"), _external, 8),
    Reader("inspect", _graph, ("model.onnx",), _inspect, 2),
    Reader("text-file", _text_file, ("text.onnx",), _text_model, 0.3),
    Reader("optimize", _graph, ("model.onnx",), _optimize, 0.2),
    Reader("optimize-mobilebert", _mobilebert, ("model.onnx",), _optimize, 0.1),
    Reader("config", examples.checkpoint_files, (CONFIG,), _config, 10),
    Reader("checkpoint", _checkpoint_files, (CONFIG, CONFIG, "model.safetensors"), _checkpoint, 1),
    Reader("safetensors", examples.weights_files, ("model.safetensors",), _weights, 12),
    Reader("sentence-transformers", examples.sentence_files, SENTENCE_FILES, _sentence, 6),
    Reader("bundle", examples.bundle_files, BUNDLE_FILES, _bundle, 8),
    Reader("tokenizer", examples.tokenizer_files, TOKENIZER_FILES, _tokenizer, 10),
    Reader("tokenizer-transformers", examples.tokenizer_files, TOKENIZER_FILES, _checkpoint_tokenizer, 0.3),
    Reader("tokenizer-written", examples.tokenizer_files, TOKENIZER_FILES, _written_tokenizer, 0.1),
    Reader("calibration", examples.text_files, TEXT_FILES, _texts, 20),
    Reader("report", _report_files, ("report.json",), _report, 1),
    Reader("report-compare", _report_files, ("report.json",), _comparison, 2),
    Reader("report-quality", _report_files, ("quality.json", "quality.tsv"), _quality, 6),
    Reader("report-html", _report_files, ("report.json",), _page, 0.05),
)
