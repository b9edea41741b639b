"""Folders that are no checkpoint of PyTorch: what they hold, and the Python code that makes a checkpoint of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from safetensors import safe_open

from mbert_onnx.model.checkpoint_files.conversion_code import (
    Place,
    downloaded,
    json_in,
    python_code,
    quoted,
    short,
    tokenizer_code,
)
from mbert_onnx.model.checkpoint_files.peft_adapter import ADAPTER_WEIGHTS, LANGUAGE_MODELS, adapter
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, TASKS

# The files of a checkpoint's weights.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
TENSORFLOW = "tf_model.h5"
TENSORFLOW_NEEDS = "transformers 4, tensorflow and tf-keras"

# How deep below a folder checkpoints are searched: a hub cache has snapshots/REVISION.
DEPTH = 2


def what_it_is(name: str, folder: Path, lacks: str, expected: str, more_files: Iterable[str] = ()) -> str:
    """Returns the message about a folder without config.json or weights: what it is, and how to convert it.

    Args:
        name: The name that the user gave.
        folder: Its folder.
        lacks: What it does not have.
        expected: What is expected there, for a folder that is nothing known.
        more_files: Files of a hub repository that were not downloaded.
    """
    files = sorted({*_files_in(folder), *more_files}, key=lambda file: (file.count("/"), file))
    place = Place(name, folder, tuple(files))
    if not any(file in WEIGHTS for file in files):
        for patterns, describe in FORMATS:
            file = place.first(*patterns)
            if file is not None:
                return f"{name} has {file}, {describe(place, file)}"
    inner = [str(path.relative_to(folder)) for path in _checkpoints_below(folder, DEPTH)]
    if inner:
        return f"{name} has no {lacks}, but checkpoints in {name_list(inner)}; give one of them"
    return f"{name} has no {lacks}; expected {expected}"


def _files_in(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.is_file():
            yield path.name
        elif path.name == "onnx" and path.is_dir():
            yield from (f"onnx/{file.name}" for file in path.iterdir() if file.is_file())
        elif path.name == "saved_model" and path.is_dir():
            yield from (str(file.relative_to(folder)) for file in path.glob("*/saved_model.pb"))


def _checkpoints_below(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if (path / "config.json").is_file():
            yield path
        elif depth > 1:
            yield from _checkpoints_below(path, depth - 1)


def _class_of(place: Place) -> tuple[str, str]:
    """Returns transformers' PyTorch class for a config.json, which may name TensorFlow's; and a note on a guess."""
    named = json_in(place.folder / "config.json").get("architectures")
    first = str(named[0]) if isinstance(named, list) and named else ""
    first = first.removeprefix("TF").removeprefix("Flax")
    if first in {task.architecture for task in TASKS}:
        return first, ""
    bare = FEATURE_EXTRACTION.architecture
    return bare, f"; config.json names no class: replace {bare}, which has no head, by the one that was trained"


def _tensorflow(place: Place, file: str) -> str:
    download, folder = downloaded(place)
    code, guess = _from_tensorflow(place, quoted(folder), quoted(folder))
    return f"weights of TensorFlow; {download}convert them, where {TENSORFLOW_NEEDS} are installed, {code}{guess}"


def _from_tensorflow(place: Place, source: str, target: str) -> tuple[str, str]:
    """Returns the code that converts TensorFlow's weights, whatever their files, and a note on its class."""
    class_name, guess = _class_of(place)
    # The decoder is a variable of its own in TensorFlow, and may differ from the word embeddings after a training.
    untie = "model.config.tie_word_embeddings = False; " if class_name in LANGUAGE_MODELS else ""
    # `from_tf=True` ends in an error of meta tensors in transformers 4.57, and reads no shards.
    code = python_code(
        f"from transformers import {class_name}, TF{class_name}; "
        "from transformers.modeling_tf_pytorch_utils import load_tf2_model_in_pytorch_model",
        f"model = TF{class_name}.from_pretrained({source}); {untie}"
        f"load_tf2_model_in_pytorch_model({class_name}(model.config), model).save_pretrained({target})",
    )
    return code, guess


def foreign_weights(name: str, folder: Path, file: Path) -> str | None:
    """Returns the message about a model.safetensors with TensorFlow's weights; None for PyTorch's."""
    try:
        with safe_open(file, "pt") as weights:
            saved_by = (weights.metadata() or {}).get("format")
    except Exception:  # shards, a pickle, or a damaged file, which its reader reports
        return None
    if saved_by != "tf":
        return None
    place = Place(name, folder, ())
    converted = f"{place.target.rstrip('/')}-pytorch"
    code, guess = _from_tensorflow(place, quoted(name), quoted(converted))
    return (
        f"{name} has {file.name} with weights of TensorFlow; convert them, where {TENSORFLOW_NEEDS} are installed, "
        f"{code}; {tokenizer_code(name, converted)}; then export {converted}{guess}"
    )


def _flax(place: Place, file: str) -> str:
    # transformers never had MobileBERT in Flax, so that `from_flax=True` has no class, and names are a guess. Export
    # checks the result, since the code fills no model.
    download, folder = downloaded(place)
    code = python_code(
        "import re, numpy; from flax.serialization import msgpack_restore; from flax.traverse_util import "
        "flatten_dict; from safetensors.numpy import save_file",
        f"tree = msgpack_restore(open({quoted(folder / file)}, 'rb').read()); "
        "flat = flatten_dict(tree.get('params', tree), sep='.'); "
        "save_file({re.sub('(kernel|embedding|scale)$', 'weight', name): numpy.ascontiguousarray(value.T if "
        "name.endswith('kernel') else value, 'float32') for name, value in flat.items()}, "
        f"{quoted(folder / WEIGHTS[0])})",
    )
    return (
        f"weights of Flax, in which transformers has no MobileBERT; {download}if parameters have the names of "
        f"transformers' PyTorch classes, convert them, where flax is installed, {code}"
    )


def _tensorflow_1(place: Place, file: str) -> str:
    download, folder = downloaded(place)
    configs = ("bert_config.json", "*bert*config*.json", "*OPT*.json", "config.json")
    config = folder / (place.first(*configs) or "bert_config.json")
    code = python_code(
        "from transformers import MobileBertConfig, MobileBertForPreTraining, load_tf_weights_in_mobilebert",
        f"load_tf_weights_in_mobilebert(MobileBertForPreTraining(config := MobileBertConfig.from_json_file("
        f"{quoted(config)})), config, {quoted(folder / file.removesuffix('.index'))})"
        f".save_pretrained({quoted(folder)})",
    )
    needs = "where transformers 4 and tensorflow are installed"
    return f"a checkpoint of TensorFlow 1; {download}convert it, {needs}, {code}"


def _saved_model(place: Place, file: str) -> str:
    download, folder = downloaded(place)
    output = shlex.quote(f"{place.target.rstrip('/')}.onnx")
    return (
        f"a SavedModel of TensorFlow; {download}convert it with tf2onnx: python -m tf2onnx.convert --saved-model "
        f"{shlex.quote(str((folder / file).parent))} --output {output}, and then: mbert-onnx optimize {output} "
        "-o optimized.onnx"
    )


def _onnx(place: Place, file: str) -> str:
    return (
        f"an ONNX model, and no PyTorch weights; make it faster with: mbert-onnx optimize "
        f"{shlex.quote(str(Path(place.name) / file))} -o FILE, or export the checkpoint that it was made from"
    )


def _one_way(what: str) -> Callable[[Place, str], str]:
    """Describes a format that no program converts back."""

    def describe(place: Place, file: str) -> str:
        source = json_in(place.folder / "config.json").get("_name_or_path")
        origin = f", which may be {short(source)}" if isinstance(source, str) and source else ""
        return f"{what}, which cannot be converted back; export the checkpoint that it was made from{origin}"

    return describe


def _script(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # of a hub repository, not downloaded
        return "output_dir"


def _deepspeed(place: Place, file: str) -> str:
    # Old scripts of DeepSpeed take a file for the weights, later ones a folder.
    download, folder = downloaded(place)
    script = _script(place.folder / file)
    output = folder if "output_dir" in script else folder / "pytorch_model.bin"
    words = shlex.join(["python", str(folder / file), str(folder), str(output)])
    return f"shards of a DeepSpeed training; {download}join them with its script: {words}"


def _shards(place: Place, file: str) -> str:
    index = WEIGHTS[1] if file.endswith(".safetensors") else WEIGHTS[3]
    return f"a part of the weights, and no {index}, which names the parts; copy that too"


def _rename(place: Place, file: str) -> str:
    wanted = "model.safetensors" if file.endswith(".safetensors") else "pytorch_model.bin"
    return f"and no {wanted}; if the file holds the model's weights, name it {wanted}, beside config.json"


Describe = Callable[[Place, str], str]

# Patterns of files, and what a folder with such a file is; a folder is described by its first match.
FORMATS: tuple[tuple[tuple[str, ...], Describe], ...] = (
    (("adapter_config.json", *ADAPTER_WEIGHTS), adapter),
    ((TENSORFLOW, "tf_model-*.h5", "tf_model.h5.index.json"), _tensorflow),
    (("flax_model.msgpack", "flax_model-*.msgpack", "*.msgpack"), _flax),
    (("*.ckpt.index", "*.ckpt-*.index"), _tensorflow_1),
    (("saved_model.pb", "saved_model/*/saved_model.pb"), _saved_model),
    (("zero_to_fp32.py",), _deepspeed),
    (("openvino_model.xml", "openvino_model.bin"), _one_way("a model of OpenVINO")),
    (("*-of-*.safetensors", "*-of-*.bin"), _shards),
    (("*.safetensors", "*.ckpt", "*.pt", "*.pth", "*.bin"), _rename),
    (("model.onnx", "*.onnx"), _onnx),
    (("*.tflite",), _one_way("a model of LiteRT (TensorFlow Lite)")),
    (("*.gguf",), _one_way("a model of llama.cpp")),
    (("*.mlmodel", "coremldata.bin"), _one_way("a model of Core ML")),
    (("rust_model.ot",), _one_way("a model of rust-bert")),
    (("*.h5", "*.keras"), _one_way("a model of Keras")),
)
