"""Valid files of every format that the fuzzed readers read: the starting points of mutations."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import onnx
import torch
import transformers
from safetensors.torch import save

from mbert_onnx.model.checkpoint import Checkpoint, build, save_checkpoint
from mbert_onnx.model.presets import initialize, mobilebert_config
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION, Task

VOCABULARY, POSITIONS = 120, 16

GRAPH = """
<ir_version: 9, opset_import: ["": 18, "own": 1], producer_name: "someone">
g (int64[batch, seq] input_ids, int64[batch, seq] attention_mask) =>
 (float[batch, seq, 4] hidden, float[batch, 2] logits)
<float[10, 4] table = {T}, float[4, 4] w = {W}, float[4] b = {1, 2, 3, 4}, float[4, 2] v = {1, 0, 0, 1, 1, 1, 0, 0},
 int64 zero = {0}, int64[1] one = {1}, int64[3] shape = {0, -1, 4}, float low = {-10000.0}>
{
    words = Gather(table, input_ids)
    flat = Reshape(words, shape)
    product = MatMul(flat, w)
    biased = Add(product, b)
    active = own.act <alpha = 0.5> (biased)
    mask = Unsqueeze(attention_mask, one)
    float_mask = Cast <to = 1> (mask)
    condition = Constant <value = bool {1}> ()
    hidden = If (condition) <then_branch = yes () => (float[batch, seq, 4] left) { left = Identity(active) },
                             else_branch = no () => (float[batch, seq, 4] right) { right = Relu(active) }>
    first = Gather <axis = 1> (hidden, zero)
    logits = MatMul(first, v)
}
<domain: "own", opset_import: ["": 18]>
act <alpha> (x) => (y)
{
    half = Constant <value_float: float = @alpha> ()
    scaled = Mul(x, half)
    y = Relu(scaled)
}
"""


@cache
def graph_file() -> bytes:
    """A graph with ids, a function, a subgraph, constants and dynamic sizes."""
    text = GRAPH.replace("{T}", _floats(40)).replace("{W}", _floats(16))
    return bytes(onnx.parser.parse_model(text).SerializeToString())


@cache
def external_files() -> dict[str, bytes]:
    """The same graph with its table and weights in `data.bin`."""
    model = onnx.ModelProto.FromString(graph_file())
    data = b""
    for tensor in model.graph.initializer:
        raw = onnx.numpy_helper.to_array(tensor).tobytes()
        if len(raw) < 16:
            continue
        kept = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        kept.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "data.bin"), ("offset", str(len(data))), ("length", str(len(raw)))):
            kept.external_data.add(key=key, value=value)
        tensor.CopyFrom(kept)
        data += raw
    return {"model.onnx": model.SerializeToString(), "data.bin": data}


@cache
def mobilebert_file() -> bytes:
    """A MobileBERT of one layer, as torch.export writes it."""
    from mbert_onnx.conversion.exporter import export

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in checkpoint_files().items():
            (folder / path).write_bytes(content)
        export(folder, folder / "bundle")
        return (folder / "bundle" / "onnx" / "model.onnx").read_bytes()


@cache
def text_model_file() -> bytes:
    """A text file of it: bytes in, labels out."""
    from mbert_onnx.bundles.model_file import TextReader
    from mbert_onnx.conversion.text_files.plan import plan_text
    from mbert_onnx.conversion.text_files.writing import write_text_file

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in {**tokenizer_files(), "model.onnx": mobilebert_file()}.items():
            (folder / path).write_bytes(content)
        reader = TextReader(TEXT_CLASSIFICATION, folder / "tokenizer.json", VOCABULARY, POSITIONS, 2)
        write_text_file(folder / "model.onnx", folder / "text.onnx", plan_text(reader, {}))
        return (folder / "text.onnx").read_bytes()


def tiny_checkpoint(task: Task, labels: Sequence[str]) -> Checkpoint:
    """Returns a MobileBERT of one layer, 8 channels wide, with random weights."""
    config = mobilebert_config(
        vocab_size=VOCABULARY,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        intra_bottleneck_size=8,
        embedding_size=8,
        max_position_embeddings=POSITIONS,
        num_feedforward_networks=1,
        architectures=[task.architecture],
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    model = build(config, task, empty=False)
    initialize(model, config, 0)
    return Checkpoint("tiny", None, config, task, model.eval())


@cache
def checkpoint_files() -> dict[str, bytes]:
    """A MobileBERT of one layer with its tokenizer, in transformers' format."""
    checkpoint = tiny_checkpoint(TEXT_CLASSIFICATION, ["no", "yes"])

    def make(folder: Path) -> None:
        save_checkpoint(checkpoint, folder)
        write_tokenizer(None, folder, VOCABULARY, POSITIONS)

    return _written(make)


@cache
def bundle_files() -> dict[str, bytes]:
    """The JSON files of a bundle beside a graph, with records of two precisions, and sentence-transformers' modules."""
    files = {name: content for name, content in checkpoint_files().items() if name != "model.safetensors"}
    record = {
        "task": "text-classification",
        "precision": "fp32",
        "file": "onnx/model.onnx",
        "sentence_embedding": {
            "pooling": "mean",
            "max_seq_length": 16,
            "normalize": True,
            "do_lower_case": False,
            "prompt": "query: ",
        },
    }
    records = {
        **record,
        "schema": 1,
        "checkpoint": "tiny",
        "checkpoint_sha256": {"weights": "ab", "config": "cd", "tokenizer": "ef"},
        "files": ["config.json", "onnx/model.onnx"],
        "precisions": {"fp32": record, "int8": {**record, "precision": "int8", "file": "onnx/model_int8.onnx"}},
    }
    return {**files, "mbert_onnx.json": json.dumps(records).encode(), "model.onnx": graph_file()}


@cache
def sentence_files() -> dict[str, bytes]:
    """The JSON files of a folder of sentence-transformers."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    pooling = {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True, "include_prompt": True}
    whole = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
    return {
        "modules.json": json.dumps(modules).encode(),
        "1_Pooling/config.json": json.dumps(pooling).encode(),
        "sentence_bert_config.json": json.dumps({"max_seq_length": 16, "do_lower_case": True}).encode(),
        "config_sentence_transformers.json": json.dumps(whole).encode(),
        "tokenizer_config.json": json.dumps({"model_max_length": 16}).encode(),
    }


@cache
def weights_files() -> dict[str, bytes]:
    """A few small tensors of several types."""
    few = {
        "mobilebert.embeddings.word_embeddings.weight": torch.ones(3, 2),
        "half": torch.ones(2, dtype=torch.float16),
        "ids": torch.arange(3),
        "empty": torch.zeros(0, 2),
    }
    return {"model.safetensors": save(few, {"format": "pt"})}


@cache
def tokenizer_files() -> dict[str, bytes]:
    """A WordPiece tokenizer with added tokens, a normalizer, a template and settings, as transformers saves it."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "film", "##s", "##b", "."]

    def make(folder: Path) -> None:
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
        tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
        tokenizer.add_tokens(["covid"])
        tokenizer.save_pretrained(folder)

    return _written(make)


TEXTS = ("A fine film.", "Who wrote it?", "Ünïcode, \u4e2d\u6587 and \U0001f600", "It is\twhat it is; 3,5", '"quoted"')


@cache
def text_files() -> dict[str, bytes]:
    """Calibration texts in every layout."""
    rows = [(text, f"Context of {text}") for text in TEXTS * 2]
    objects = [{"question": text, "context": pair, "label": index} for index, (text, pair) in enumerate(rows)]
    squad = {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": p, "qas": [{"id": "1", "question": q}]}]} for q, p in rows],
    }
    lines = "\n".join(text.replace("\t", " ") for text in TEXTS * 2)
    table = "question\tcontext\n" + "\n".join(f"{q}\t{p}".replace("is\twhat", "is what") for q, p in rows[:2])
    quoted = "\n".join(f'"{q.replace(chr(34), chr(34) * 2)}";"{p.replace(chr(34), chr(34) * 2)}"' for q, p in rows)
    return {
        "lines.txt": lines.encode(),
        "lines.txt.gz": gzip.compress(lines.encode(), mtime=0),
        "table.tsv": table.encode(),
        "table.csv": f"text;pair\n{quoted}\n".encode(),
        "sep.csv": f"sep=;\ntext;pair\n{quoted}\n".encode(),
        "objects.jsonl": "\n".join(json.dumps(one) for one in objects).encode(),
        "objects.json": json.dumps(objects).encode(),
        "squad.json": json.dumps(squad).encode(),
    }


def _written(make: Callable[[Path], None]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


def _floats(count: int) -> str:
    return "{" + ", ".join(f"{index / count:.3f}" for index in range(count)) + "}"


@cache
def report_files() -> dict[str, bytes]:
    """A result file of `bench`, and quality figures of its models."""
    from perf_reports import report  # a helper of other tests

    name = report().subjects[1].name
    return {
        "report.json": json.dumps(report().to_json()).encode(),
        "quality.json": json.dumps({"metric": "accuracy", "models": {"base.onnx": 0.9, name: 0.8}}).encode(),
        "quality.tsv": f"model\taccuracy\nbase.onnx\t0.9\n{name}\t0.8\n".encode(),
    }
