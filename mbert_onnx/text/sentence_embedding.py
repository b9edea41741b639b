"""Sentence embeddings of sentence-transformers: its modules in a folder, and what `embed` does in their place.

The format: `modules.json` lists modules and their folders; a Transformer module has `sentence_bert_config.json` beside
its config.json, a Pooling module a config.json of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.errors import BundleError, CheckpointError
from mbert_onnx.text.json_files import brief, read_json
from mbert_onnx.text.name_lists import name_list

MODULES = "modules.json"
# Settings of the Transformer module, and of the whole model.
TRANSFORMER, WHOLE = "sentence_bert_config.json", "config_sentence_transformers.json"
POOLING_FOLDER, NORMALIZE_FOLDER = "1_Pooling", "2_Normalize"
# The files that a folder has with a Transformer at its root. Normalize has no settings, and needs no folder.
SENTENCE_FILES = (MODULES, f"{POOLING_FOLDER}/config.json", TRANSFORMER, WHOLE)
TOKENIZER_CONFIG = "tokenizer_config.json"

# More tokens than any model reads; transformers writes 1e30 for a tokenizer without a limit.
UNLIMITED = 2**31

# Characters of the longest class name of a module that is shown as it is.
LONGEST_KIND = 60

# The pooling that `embed` computes, and the old settings of Pooling, of which each switches one mode on.
MEAN = "mean"
# The module that scales vectors to length 1, and the name of what it scales.
NORMALIZE, VECTOR = "Normalize", "sentence_embedding"
POOLING_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": MEAN,
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class EmbeddingSettings:
    """Settings of a sentence's vector, beyond the mean of its hidden states.

    Args:
        max_seq_length: Longer texts are cut to that many tokens, special tokens included.
        normalize: Whether vectors have length 1.
        do_lower_case: Whether texts are lower-cased before the tokenizer reads them.
        prompt: Text that is put before each text.
    """

    max_seq_length: int
    normalize: bool = False
    do_lower_case: bool = False
    prompt: str = ""

    def prepared(self, text: str) -> str:
        """Returns the text that the tokenizer reads."""
        text = f"{self.prompt}{text}".strip()
        return text.lower() if self.do_lower_case else text

    def as_dict(self) -> dict[str, Any]:
        """Returns the record in `mbert_onnx.json`."""
        return {"pooling": MEAN, **asdict(self)}


def settings_in(record: object, where: Path) -> EmbeddingSettings:
    """Returns the settings of a record that `as_dict` returned. Raises BundleError, which names the file `where`."""
    values = dict(record) if isinstance(record, Mapping) else {}
    pooling = values.pop("pooling", None)
    try:
        settings = EmbeddingSettings(**values)
    except TypeError:
        settings = None
    types = (int, bool, bool, str)
    if (
        settings is None
        or pooling != MEAN
        or any(type(value) is not kind for value, kind in zip(asdict(settings).values(), types, strict=True))
        or settings.max_seq_length < 1
    ):
        raise BundleError(f"{where} has the sentence_embedding {brief(record)}. Export the checkpoint again.")
    return settings


@dataclass(frozen=True)
class SentenceModules:
    """The modules of a sentence-transformers folder.

    Args:
        name: The name that the user gave.
        root: The folder with modules.json.
        modules: The kind of each, such as `Pooling`, and its folder.
        settings: The content of the Transformer's settings; empty if it has none.
    """

    name: str
    root: Path
    modules: tuple[tuple[str, Path], ...]
    settings: Mapping[str, Any]

    @property
    def transformer(self) -> Path:
        """The folder of the first module, which has the checkpoint."""
        return self.modules[0][1]

    @property
    def embeds(self) -> bool:
        """True if the model computes one vector of a text, from the bare model's hidden states."""
        return (
            self.modules[0][0] == "Transformer"
            and self.settings.get("transformer_task", "feature-extraction") == "feature-extraction"
            and self.whole.get("model_type", "SentenceTransformer") == "SentenceTransformer"
        )

    def embedding_settings(self, positions: int) -> tuple[EmbeddingSettings, list[str]]:
        """Returns the settings of an equal `embed`, and notes for the user.

        Args:
            positions: The largest number of tokens that the model reads.

        Raises CheckpointError, which names the modules that `embed` does not compute.
        """
        kinds = [kind for kind, _ in self.modules]
        others = [kind for kind in kinds[2:] if kind not in (NORMALIZE, "Dropout")]
        if not self.embeds or kinds[1:2] != ["Pooling"] or others:
            raise self.refusal()
        for kind, folder in self.modules:
            names = _read(folder / "config.json") if kind == NORMALIZE else {}
            if any(names.get(key) not in (None, VECTOR) for key in ("module_input_name", "module_output_name")):
                raise self.refusal(f"its Normalize module is not of {VECTOR}")
        pooling = _read(self.modules[1][1] / "config.json", required=True)
        modes = _pooling_modes(pooling)
        if modes != [MEAN]:
            raise self.refusal(f"its pooling is {' and '.join(modes)}")
        prompt, notes = self._prompt(pooling)
        settings = EmbeddingSettings(
            max_seq_length=_max_seq_length(self.name, self.settings, self.transformer, positions),
            normalize=NORMALIZE in kinds,
            do_lower_case=bool(self.settings.get("do_lower_case")),
            prompt=prompt,
        )
        return settings, [f"sentence-transformers: {_described(settings)}", *notes]

    def pooling(self) -> str | None:
        """Returns the mode of pooling, such as `cls`; None if vectors are computed in another way, as by Dense."""
        kinds = [kind for kind, _ in self.modules]
        others = [kind for kind in kinds[2:] if kind not in (NORMALIZE, "Dropout")]
        if not self.embeds or kinds[1:2] != ["Pooling"] or others:
            return None
        modes = _pooling_modes(_read(self.modules[1][1] / "config.json", required=True))
        return modes[0] if len(modes) == 1 else None

    @property
    def whole(self) -> dict[str, Any]:
        """The settings of the whole model, such as its prompts. Raises CheckpointError for a damaged file."""
        return _read(self.root / WHOLE)

    def _prompt(self, pooling: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Returns the default prompt, and a note on the others."""
        whole = self.whole
        found = whole.get("prompts")
        prompts = {name: text for name, text in found.items() if text} if isinstance(found, Mapping) else {}
        default = whole.get("default_prompt_name")
        if isinstance(default, str) and default in prompts:
            if not pooling.get("include_prompt", True):
                raise self.refusal("its pooling leaves out the tokens of the prompt (include_prompt is false)")
            return str(prompts[default]), []
        if not prompts:
            return "", []
        names = name_list(f"{brief(name)} ({brief(text)})" for name, text in prompts.items())
        return "", [f"`embed` uses none of the prompts {names}; put the one you need before the text"]

    def refusal(self, reason: str | None = None) -> CheckpointError:
        """Returns the error for a model that `embed` does not compute; default reason: its modules."""
        reason = reason or f"its modules are {', '.join(kind for kind, _ in self.modules)}"
        alone = str(self.transformer)
        if self.transformer == self.root:
            alone = f"{self.name.rstrip('/')}-transformer"
            save = f"from_pretrained({json.dumps(self.name)}).save_pretrained({json.dumps(alone)})"
            save = f"AutoModel.{save}, AutoTokenizer.{save}"
            alone = f"{alone}, which this Python code writes: from transformers import AutoModel, AutoTokenizer; {save}"
        return CheckpointError(
            f"{self.name} is a sentence-transformers model that cannot be exported with its embeddings: {reason}; "
            "expected Transformer, Pooling (mean) and maybe Normalize; to pool hidden states yourself, export "
            f"{alone}"
        )


def default_settings(name: str, folder: Path | None, positions: int) -> tuple[EmbeddingSettings, list[str]]:
    """Returns the settings of a checkpoint that is not in a sentence-transformers folder, and notes for the user.

    Args:
        name: The name that the user gave.
        folder: The folder of the checkpoint, whose tokenizer may have a length; None for a random model.
        positions: The largest number of tokens that the model reads.
    """
    longest = positions if folder is None else _max_seq_length(name, {}, folder, positions)
    settings = EmbeddingSettings(longest, normalize=True)
    return settings, [f"there is no {MODULES}: {_described(settings)}"]


def _described(settings: EmbeddingSettings) -> str:
    vectors = "normalized mean" if settings.normalize else "mean"
    return f"`embed` returns the {vectors} of a text's first {settings.max_seq_length} tokens"


def _max_seq_length(name: str, settings: Mapping[str, Any], folder: Path, positions: int) -> int:
    """Returns the length that settings name, or the tokenizer's in a folder, as sentence-transformers does."""
    named = settings.get("max_seq_length")
    if named is None:
        named = _read(folder / TOKENIZER_CONFIG).get("model_max_length", UNLIMITED)
    if not isinstance(named, int | float) or isinstance(named, bool) or not named >= 1:
        raise CheckpointError(f"{name} has max_seq_length = {brief(named)}, expected a number of tokens")
    return int(min(named, positions))


def read_modules(name: str, root: Path) -> SentenceModules | None:
    """Returns the modules of a sentence-transformers folder; None for another folder. Raises CheckpointError."""
    path = root / MODULES
    if not path.is_file():
        return None
    try:
        listed = read_json(path)
        modules = [(_kind(entry["type"]), str(entry["path"])) for entry in listed]
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error) if isinstance(error, OSError | ValueError) else "each entry needs a type and a path"
        raise CheckpointError(f"{path} is not a list of modules ({reason}); copy it again") from error
    outside = [inner for _, inner in modules if Path(inner).is_absolute() or ".." in Path(inner).parts]
    if outside or not modules:
        found = f"the folder {brief(outside[0])}" if outside else "no module"
        raise CheckpointError(f"{path} names {found}; expected modules inside {root}")
    placed = tuple((kind, root / inner) for kind, inner in modules)
    return SentenceModules(name, root, placed, _read(placed[0][1] / TRANSFORMER))


def _kind(type_name: object) -> str:
    """Returns the class of a module's type; what is no name is quoted, as messages quote values."""
    kind = str(type_name).rpartition(".")[2]
    return kind if kind.isidentifier() and len(kind) <= LONGEST_KIND else brief(type_name)


def _pooling_modes(config: Mapping[str, Any]) -> list[str]:
    """Returns the modes of a Pooling module: one name or several, or switches in files of old versions."""
    named = config.get("pooling_mode")
    if named is not None:
        modes = named if isinstance(named, list) else [named]
        return [mode if mode in POOLING_SWITCHES.values() else brief(mode) for mode in modes]
    return [mode for switch, mode in POOLING_SWITCHES.items() if config.get(switch)] or [MEAN]


def _read(path: Path, *, required: bool = False) -> dict[str, Any]:
    """Returns the object in a file; an empty one for a file that is not there, unless it is required."""
    try:
        if not path.is_file():
            if required:
                raise CheckpointError(f"{path} is missing; copy it, too")
            return {}
        content = read_json(path)
    except (OSError, ValueError) as error:  # also of the path, which may be too long: modules.json names it
        reason = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(f"{path} cannot be read ({reason}); copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected a JSON object; copy it again")
    return content
