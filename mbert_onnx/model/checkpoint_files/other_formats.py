"""Folders that are no checkpoint of PyTorch: what they hold, and the Python code that makes a checkpoint of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from mbert_onnx.text.json_files import brief, read_json
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import TASKS

# The files of a checkpoint's weights.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# Files of a training that are no weights of a model.
OF_TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth")

# peft's class for each `task_type`; it asks for AutoPeftModel where there is none.
PEFT_CLASSES = {
    "SEQ_CLS": "AutoPeftModelForSequenceClassification",
    "TOKEN_CLS": "AutoPeftModelForTokenClassification",
    "QUESTION_ANS": "AutoPeftModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoPeftModelForFeatureExtraction",
}
# Kinds of adapters that learn inputs and no changes of weights, so that there is nothing to merge.
PROMPT_KINDS = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT")

# Characters of the longest name in a file that is shown as it is.
LONGEST_NAME = 100

# How deep below a folder checkpoints are searched: a hub cache has snapshots/REVISION.
DEPTH = 2


@dataclass(frozen=True)
class Place:
    """A folder or hub repository with files of another format.

    Args:
        name: The name that the user gave, for `from_pretrained`.
        folder: Its folder.
        files: Names of all files, relative to it; of a hub repository also those that were not downloaded.
    """

    name: str
    folder: Path
    files: tuple[str, ...]

    @property
    def target(self) -> str:
        """The folder for a converted checkpoint: the same, or a new one for a hub repository."""
        return self.name if Path(self.name).is_dir() else self.name.rpartition("/")[2]

    def first(self, *patterns: str) -> str | None:
        """Returns the first file that matches one of the patterns, in their order."""
        for pattern in patterns:
            for file in self.files:
                if Path(file).match(pattern) and Path(file).name not in OF_TRAINING:
                    return file
        return None


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


def _checkpoints_below(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if (path / "config.json").is_file():
            yield path
        elif depth > 1:
            yield from _checkpoints_below(path, depth - 1)


def _json(path: Path) -> dict[str, Any]:
    """Returns the object in a file; an empty one if it cannot be read, since it only makes a message more exact."""
    try:
        content = read_json(path) if path.is_file() else {}  # a pipe would be waited for
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _class_of(place: Place) -> str:
    """Returns transformers' PyTorch class for a config.json, which may name TensorFlow's or Flax's."""
    named = _json(place.folder / "config.json").get("architectures")
    first = str(named[0]) if isinstance(named, list) and named else ""
    first = first.removeprefix("TF").removeprefix("Flax")
    return first if first in {task.architecture for task in TASKS} else "MobileBertModel"


def _short(value: object) -> str:
    """Returns a value of a file: as it is if it is a usual name, else as messages quote values."""
    text = str(value)
    return text if text.isprintable() and len(text) <= LONGEST_NAME else brief(value)


def _code(imports: str, call: str) -> str:
    return f"in Python: {imports}; {call}"


def _text(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _adapter(place: Place, file: str) -> str:
    config = _json(place.folder / "adapter_config.json")
    kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
    named = f" ({_short(kind)})" if kind else ""
    what = f"a PEFT adapter{named}{f' of {_short(base)}' if base else ''}, and no whole model"
    if kind in PROMPT_KINDS:
        return f"{what}; it learns inputs and cannot be merged into the weights, so it cannot be exported"
    class_name = PEFT_CLASSES.get(str(config.get("task_type")), "AutoPeftModel")
    merged = f"{place.target.rstrip('/')}-merged"
    labels = _labels_of(place.folder / "adapter_model.safetensors")
    more = f", num_labels={labels}" if labels else ""
    code = _code(
        f"from peft import {class_name}",
        f"{class_name}.from_pretrained({_text(place.name)}{more}).merge_and_unload().save_pretrained({_text(merged)})",
    )
    return f"{what}; merge it {code}; put its tokenizer there too, and export {merged}"


def _labels_of(adapter: Path) -> int | None:
    """Returns the number of outputs of an adapter's classifier, which its base model does not have by itself."""
    try:
        with safe_open(adapter, "pt") as file:
            keys = file.keys()  # safetensors' file is not itself iterable
            names = [name for name in keys if name.endswith("classifier.weight")]
            shapes = [file.get_slice(name).get_shape() for name in names]
    except Exception:  # no such file, or a damaged one, which peft reports
        return None
    return shapes[0][0] if len(shapes) == 1 and len(shapes[0]) == 2 else None


def _tensorflow(place: Place, file: str) -> str:
    class_name = _class_of(place)
    code = _code(
        f"from transformers import {class_name}",
        f"{class_name}.from_pretrained({_text(place.name)}, from_tf=True).save_pretrained({_text(place.target)})",
    )
    return f"weights of TensorFlow; convert them, where transformers 4 and tf-keras are installed, {code}"


def _flax(place: Place, file: str) -> str:
    class_name = _class_of(place)
    # `from_flax=True` needs a class of Flax, and transformers never had one for MobileBERT.
    code = _code(
        f"import flax.serialization, transformers.modeling_flax_pytorch_utils as flax_weights; "
        f"from transformers import MobileBertConfig, {class_name}",
        f"flax_weights.load_flax_weights_in_pytorch_model({class_name}(MobileBertConfig.from_pretrained("
        f"{_text(place.name)})), flax.serialization.msgpack_restore(open({_text(place.folder / file)}, 'rb').read()))"
        f".save_pretrained({_text(place.target)})",
    )
    return f"weights of Flax; convert them, where transformers 4 and flax are installed, {code}"


def _tensorflow_1(place: Place, file: str) -> str:
    configs = ("bert_config.json", "*bert*config*.json", "*OPT*.json", "config.json")
    config = place.folder / (place.first(*configs) or "bert_config.json")
    code = _code(
        "from transformers import MobileBertConfig, MobileBertForPreTraining, load_tf_weights_in_mobilebert",
        f"load_tf_weights_in_mobilebert(MobileBertForPreTraining(config := MobileBertConfig.from_json_file("
        f"{_text(config)})), config, {_text(place.folder / file.removesuffix('.index'))})"
        f".save_pretrained({_text(place.target)})",
    )
    return f"a checkpoint of TensorFlow 1; convert it, where transformers 4 and tensorflow are installed, {code}"


def _saved_model(place: Place, file: str) -> str:
    output = f"{place.target.rstrip('/')}.onnx"
    return (
        f"a SavedModel of TensorFlow; convert it with tf2onnx: python -m tf2onnx.convert --saved-model {place.name} "
        f"--output {output}, and then: mbert-onnx optimize {output} -o optimized.onnx"
    )


def _onnx(place: Place, file: str) -> str:
    return (
        f"an ONNX model, and no PyTorch weights; make it faster with: mbert-onnx optimize {Path(place.name) / file} "
        "-o FILE, or export the checkpoint that it was made from"
    )


def _one_way(what: str) -> Callable[[Place, str], str]:
    """Describes a format that no program converts back."""

    def describe(place: Place, file: str) -> str:
        source = _json(place.folder / "config.json").get("_name_or_path")
        origin = f", which may be {_short(source)}" if isinstance(source, str) and source else ""
        return f"{what}, which cannot be converted back; export the checkpoint that it was made from{origin}"

    return describe


def _deepspeed(place: Place, file: str) -> str:
    return (
        "shards of a DeepSpeed training; join them with its script: "
        f"python {Path(place.name) / file} {place.name} {Path(place.name) / 'pytorch_model.bin'}"
    )


def _shards(place: Place, file: str) -> str:
    index = WEIGHTS[1] if file.endswith(".safetensors") else WEIGHTS[3]
    return f"a part of the weights, and no {index}, which names the parts; copy that too"


def _rename(place: Place, file: str) -> str:
    wanted = "model.safetensors" if file.endswith(".safetensors") else "pytorch_model.bin"
    return f"and no {wanted}; if the file holds the model's weights, name it {wanted}, beside config.json"


Describe = Callable[[Place, str], str]

# Patterns of files, and what a folder with such a file is; a folder is described by its first match.
FORMATS: tuple[tuple[tuple[str, ...], Describe], ...] = (
    (("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"), _adapter),
    (("tf_model.h5", "tf_model-*.h5", "tf_model.h5.index.json"), _tensorflow),
    (("flax_model.msgpack", "flax_model-*.msgpack", "*.msgpack"), _flax),
    (("*.ckpt.index", "*.ckpt-*.index"), _tensorflow_1),
    (("saved_model.pb",), _saved_model),
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
