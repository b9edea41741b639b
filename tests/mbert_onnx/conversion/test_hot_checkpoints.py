"""The hot models of `hot_checkpoints`: as large as they say, where they say, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hot_checkpoints import (
    SMALLER_SPIKES,
    SPIKE,
    channel_factors,
    hot_channels,
    hot_first_token,
    hot_hidden,
    hot_inner_channels,
    hot_token,
    save,
)
from small_checkpoints import assert_file_answers_as
from small_models import randomize, small_config
from torch import Tensor, nn

from mbert_onnx import export
from mbert_onnx.conversion.comparison.accuracy import Comparison
from mbert_onnx.conversion.verification.model_check import check
from mbert_onnx.model.checkpoint import build, load_checkpoint
from mbert_onnx.text.tasks import Task, task_named

Hot = Callable[..., nn.Module]

TOKENS = 128

# Each way into the stream, out of it, and through a block.
CASES = [
    ("question-answering", "default"),
    ("question-answering", "bottleneck_attention"),
    ("question-answering", "unshared_same_width"),
    ("question-answering", "no_bottleneck"),
    ("question-answering", "no_trigram_same_width"),
    ("text-classification", "default"),
    ("text-classification", "raw_pooler"),
    ("token-classification", "two_ffn"),
    ("fill-mask", "default"),
    ("multiple-choice", "one_ffn"),
    ("next-sentence-prediction", "raw_pooler"),
    ("pretraining", "untied"),
    ("feature-extraction", "default"),
]
FULL = pytest.param("question-answering", "full", marks=pytest.mark.full)
FULL_POOLED = pytest.param("text-classification", "full", marks=pytest.mark.full)
WITH_BOTTLENECK = [case for case in CASES if case[1] != "no_bottleneck"]

each_case = pytest.mark.parametrize(("name", "switch"), [*CASES, FULL])
each_case_and_pooled = pytest.mark.parametrize(("name", "switch"), [*CASES, FULL, FULL_POOLED])


def make(name: str, switch: str = "default", seed: int = 0) -> tuple[nn.Module, Task]:
    """A tame student in float32."""
    task = task_named(name)
    if switch == "full":
        return load_checkpoint("random", task=name).model, task
    config = small_config(switch, max_position_embeddings=TOKENS)
    return randomize(build(config, task, empty=False), seed).eval(), task


def texts(model: nn.Module, *, seed: int = 7, rows: int = 4, padded: bool = True) -> dict[str, Tensor]:
    """Texts of 128 random tokens, the last one half padding."""
    config: Any = model.config
    shape = (rows, 2, TOKENS) if "MultipleChoice" in type(model).__name__ else (rows, TOKENS)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(shape, dtype=torch.long)
    if padded:
        mask[-1, ..., TOKENS // 2 :] = 0
    return {
        "input_ids": torch.randint(0, config.vocab_size, shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": (torch.arange(TOKENS) >= TOKENS // 3).long().expand(shape),
    }


def outputs(model: nn.Module, feed: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        found = copy.deepcopy(model).to(dtype)(**feed)
    return {name: value.numpy() for name, value in found.items() if isinstance(value, Tensor)}


def inside(model: nn.Module, feed: dict[str, Tensor]) -> Any:
    """Returns the backbone's outputs, with hidden states and attentions; choices are rows."""
    backbone: Any = getattr(model, "mobilebert", model)
    rows = {name: ids.flatten(0, -2) for name, ids in feed.items()}
    with torch.inference_mode():
        return backbone(**rows, output_hidden_states=True, output_attentions=True)


def centred_error(model: nn.Module, task: Task, feed: dict[str, Tensor], *, but_first: bool = False) -> float:
    """Of float32 from float64; with the first token, or without it."""
    mask = feed["attention_mask"].clone()
    mask[..., 0] &= not but_first
    comparison = Comparison(task)
    comparison.add(outputs(model, feed), outputs(model, feed, torch.float64), mask.numpy())
    return comparison.error()


def factors_of_outputs(model: nn.Module, name: str, k: Tensor) -> Tensor:
    """Returns the factors of a hot model's output: the stream's factors if it is the stream, else 1."""
    return k if name == "last_hidden_state" and type(model).__name__ == "MobileBertModel" else torch.ones(())


def assert_same_function(cold: nn.Module, hot: nn.Module, k: Tensor | None = None) -> None:
    """In float64 up to its rounding, in float32 bit by bit; outputs that are the stream, divided by `k`."""
    feed = texts(cold)
    for dtype in (torch.float64, torch.float32):
        expected, found = outputs(cold, feed, dtype), outputs(hot, feed, dtype)
        assert list(found) == list(expected)
        for name, value in expected.items():
            factors = torch.ones(()) if k is None else factors_of_outputs(cold, name, k)
            back = found[name] / factors.numpy()
            if dtype == torch.float64:
                assert np.linalg.norm(back - value) <= 1e-9 * np.linalg.norm(value), name
            else:
                assert np.array_equal(back, value), name


def sizes(values: Tensor) -> Tensor:
    """The largest size of each channel."""
    return values.abs().flatten(0, -2).max(dim=0).values


@contextmanager
def watching(modules: list[Any]) -> Iterator[list[Tensor]]:
    """The outputs of modules, in the order in which they are computed."""
    seen: list[Tensor] = []
    hooks = [module.register_forward_hook(lambda _, __, output: seen.append(output)) for module in modules]
    yield seen
    for hook in hooks:
        hook.remove()


def blocks(model: nn.Module) -> list[Any]:
    backbone: Any = getattr(model, "mobilebert", model)
    return list(backbone.encoder.layer)


# ChannelGroups


@each_case
def test_hot_channels_are_the_same_function(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    config: Any = model.config
    assert_same_function(model, hot_channels(model, 3), channel_factors(config.hidden_size, 3))


@each_case
def test_hot_channels_are_as_hot_as_their_factors_in_every_hidden_state(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    config: Any = model.config
    feed, k = texts(model), channel_factors(config.hidden_size, 3)
    cold_states, hot_states = inside(model, feed).hidden_states, inside(hot_channels(model, 3), feed).hidden_states
    assert len(hot_states) == config.num_hidden_layers + 1
    for cold, hot in zip(cold_states, hot_states, strict=True):
        assert torch.equal(sizes(hot), sizes(cold) * k)
        assert sizes(hot).max() > 1e6
        assert sizes(hot)[k == 1].max() < 1e3


def test_half_of_the_factors_are_there_before_gamma() -> None:
    model, _ = make("question-answering")
    hot, k = hot_channels(model, 3), channel_factors(64, 3)
    norms: list[Any] = [m.mobilebert.embeddings.LayerNorm for m in (model, hot)]  # type: ignore[union-attr]
    before = k / (norms[1].weight / norms[0].weight)
    assert int((k != 1).sum()) == 4
    assert int((before != 1).sum()) == 2


def test_factors_are_powers_of_two_from_the_lowest_to_the_highest() -> None:
    k = channel_factors(512, 0)
    hot = k[k != 1]
    assert len(hot) == 32
    assert torch.equal(hot.log2(), hot.log2().round())
    assert (hot.min(), hot.max()) == (2**13, 2**27)
    assert len(set(hot.tolist())) == 15
    assert not torch.equal(k, channel_factors(512, 1))
    assert int((channel_factors(512, 0, share=0.5) != 1).sum()) == 256


@pytest.mark.parametrize(("name", "switch"), [*WITH_BOTTLENECK, FULL])
def test_hot_inner_channels_are_the_same_function(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    hot = hot_inner_channels(model, 3)
    assert_same_function(model, hot)
    watched = [part for block in blocks(hot) for part in (block.bottleneck.input, block.attention.output)]
    with watching(watched) as seen:
        inside(hot, texts(hot))
    assert len(seen) == 2 * len(blocks(hot))
    for stream in seen:
        assert sizes(stream).max() > 1e6
        assert sizes(stream).median() < 1e2


def test_blocks_have_inner_factors_of_their_own() -> None:
    model, _ = make("question-answering")
    hot = hot_inner_channels(model, 3)
    ratios = [
        new.bottleneck.input.dense.bias / old.bottleneck.input.dense.bias
        for new, old in zip(blocks(hot), blocks(model), strict=True)
    ]
    assert not torch.equal(ratios[0], ratios[1])


@each_case
def test_hot_hidden_channels_are_the_same_function(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    assert_same_function(model, hot_hidden(model, 3))


@each_case
def test_hidden_channels_range_over_1e8_in_every_network(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    hot, feed = hot_hidden(model, 3), texts(model)
    spreads = []
    for watched in (model, hot):
        networks = [n for b in blocks(watched) for n in (*(f.intermediate for f in b.ffn), b.intermediate)]
        with watching(networks) as seen:
            inside(watched, feed)
        used = [sizes(hidden)[sizes(hidden) > 0] for hidden in seen]
        assert len(used) == len(networks)
        spreads.append(torch.stack([channels.log10().std() for channels in used]))
        largest = min(channels.max() for channels in used)
    # Evenly over 8 powers of ten: a deviation of 2.3.
    assert spreads[1].min() > 2.0
    assert (spreads[1] > spreads[0] + 0.5).all()
    assert largest > 1e6


# The first token


@each_case_and_pooled
def test_spikes_are_in_the_first_token_and_nowhere_else(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    hot = hot_token(model, 3)
    for state in inside(hot, texts(hot, padded=False)).hidden_states:
        first, others = state[:, 0].abs(), state[:, 1:].abs()
        assert torch.allclose(state[:, 0, 0], torch.tensor(SPIKE), rtol=1e-4)
        low, high = SMALLER_SPIKES
        smaller = (first[:, 1:] > 0.9 * low) & (first[:, 1:] < 1.1 * high)
        assert (smaller.sum(dim=1) == max(3, state.shape[-1] // 32)).all()
        assert ((first[:, 1:] < 1e2) | smaller).all()
        assert others.max() < 1e2


@each_case_and_pooled
def test_the_first_token_is_large_in_all_channels_after_the_first_block(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    states = inside(hot_first_token(model, 3), texts(model, padded=False)).hidden_states
    assert states[0].abs().max() < 1e2
    for state in states[1:]:
        first, others = state[:, 0], state[:, 1:].abs()
        assert (first[:, 0] < SPIKE / 5).all()
        assert (first[:, 0] > SPIKE * 5).all()
        assert others.max() < 1e2
        # Channels cross zero, so one of them may be small.
        assert first.abs().quantile(0.01) > 1e3 * others.median()
        assert first.abs().median() > 1e4 * others.median()


@each_case_and_pooled
def test_no_token_attends_to_a_first_one_that_is_large(name: str, switch: str) -> None:
    model, _ = make(name, switch)
    attentions = inside(hot_first_token(model, 3), texts(model)).attentions
    assert attentions[0][:, :, 1:, 0].max() > 0
    for attention in attentions[1:]:
        assert attention[:, :, 1:, 0].max() == 0
        assert attention[:, :, 1:, 1:].max() < 1


@pytest.mark.parametrize("make_hot", [hot_token, hot_first_token])
@each_case_and_pooled
def test_rounding_does_not_decide(make_hot: Hot, name: str, switch: str) -> None:
    model, task = make(name, switch)
    hot = make_hot(model, 3)
    feed = texts(hot)
    bar = 1e-4 if make_hot is hot_token else 1e-3
    assert centred_error(hot, task, feed) < bar
    # The first token's outputs may be so large that nothing is seen of the others'.
    assert centred_error(hot, task, feed, but_first=True) < bar


@pytest.mark.parametrize("make_hot", [hot_token, hot_first_token])
@each_case_and_pooled
def test_outputs_depend_on_the_text(make_hot: Hot, name: str, switch: str) -> None:
    model, task = make(name, switch)
    feed = texts(model, rows=6, padded=False)
    cold, hot = outputs(model, feed), outputs(make_hot(model, 3), feed)
    for output in task.outputs:
        if output.name not in cold:
            continue
        a, b = cold[output.name], hot[output.name]
        # How much an output differs from text to text, at the same place.
        if "sequence" in output.axes:
            assert b[:, 1:].std(axis=0).mean() > 0.1 * a[:, 1:].std(axis=0).mean(), output.name
        else:  # poolers have been shrunk
            assert b.std(axis=0).mean() > 0.01 * np.abs(b).mean(), output.name


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_large_first_token_does_no_harm_to_short_texts(length: int) -> None:
    model, task = make("fill-mask")
    hot = hot_first_token(model, 3)
    feed = {name: ids[:, :length] for name, ids in texts(hot).items()}
    states = inside(hot, feed).hidden_states[-1]
    assert (states[:, 0].abs() > 1e3).all()
    assert (states[:, 1:].abs() < 1e2).all()
    assert centred_error(hot, task, feed) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_any_seed_and_any_random_model(seed: int) -> None:
    model, task = make("fill-mask", seed=seed)
    for make_hot in (hot_token, hot_first_token):
        hot = make_hot(model, seed)
        feed = texts(hot)
        assert centred_error(hot, task, feed) < 1e-3
        assert inside(hot, feed).hidden_states[-1][:, 1:].abs().max() < 1e3


def test_weights_of_a_large_first_token_are_ones_that_fp16_has() -> None:
    for switch in ("default", "no_bottleneck"):
        hot = hot_first_token(make("question-answering", switch)[0], 3)
        assert max(float(weight.abs().max()) for weight in hot.parameters()) < torch.finfo(torch.float16).max


def test_fp16_overflows_where_real_models_do() -> None:
    for make_hot in (hot_channels, hot_inner_channels, hot_hidden, hot_token, hot_first_token):
        model, _ = make("question-answering")
        hot, feed = make_hot(model, 3), texts(model)
        assert np.isfinite(outputs(model, feed, torch.float16)["start_logits"]).all()
        assert not np.isfinite(outputs(hot, feed, torch.float16)["start_logits"]).all()


# All of them

EVERY = [hot_channels, hot_inner_channels, hot_hidden, hot_token, hot_first_token]
every_kind = pytest.mark.parametrize("make_hot", EVERY)


@every_kind
def test_a_seed_decides_and_the_model_is_left_alone(make_hot: Hot) -> None:
    model, _ = make("fill-mask")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one, same, other = (make_hot(model, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, same[name]) for name, tensor in one.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@every_kind
def test_the_lm_decoder_stays_tied(make_hot: Hot) -> None:
    hot: Any = make_hot(make("fill-mask")[0], 3)
    assert hot.cls.predictions.decoder.weight is hot.mobilebert.embeddings.word_embeddings.weight


@every_kind
def test_a_layer_normalization_is_refused(make_hot: Hot) -> None:
    with pytest.raises(ValueError, match="expected NoNorm"):
        make_hot(make("question-answering", "layer_norm")[0], 0)


@pytest.mark.parametrize("make_hot", [hot_hidden, hot_first_token])
def test_other_activations_are_refused(make_hot: Hot) -> None:
    with pytest.raises(ValueError, match="expected relu"):
        make_hot(make("question-answering", "gelu")[0], 0)


def test_inner_channels_need_bottlenecks() -> None:
    with pytest.raises(ValueError, match="no inner stream"):
        hot_inner_channels(make("question-answering", "no_bottleneck")[0], 0)


@pytest.mark.parametrize("make_hot", [hot_channels, hot_inner_channels, hot_hidden, hot_token])
def test_a_model_of_transformers_is_changed_in_the_same_way(make_hot: Hot) -> None:
    ours, task = make("pretraining")
    theirs = getattr(transformers, task.architecture)(ours.config).eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.tie_weights()
    ours_hot, theirs_hot = make_hot(ours, 3).state_dict(), make_hot(theirs, 3).state_dict()
    assert set(ours_hot) <= set(theirs_hot)
    assert all(torch.equal(tensor, theirs_hot[name]) for name, tensor in ours_hot.items())


# Export


# An export takes seconds. Judged by the masked LM, whose outputs are of one size for every token.
EXPORTS = [
    pytest.param(kind, name, marks=() if kind is hot_first_token and name == "fill-mask" else pytest.mark.full)
    for kind in EVERY
    for name in ("question-answering", "text-classification", "fill-mask")
]


@pytest.mark.parametrize(("make_hot", "name"), EXPORTS)
def test_export_accepts_a_hot_checkpoint(make_hot: Hot, name: str, tmp_path: Path) -> None:
    hot = make_hot(make(name)[0], 3)
    save(hot, tmp_path / "model")
    report = export(tmp_path / "model", tmp_path / "bundle")
    assert report.verdict.passed
    # What was verified was the hot model.
    verdict = check(report.model, hot, task_named(name))
    assert verdict.passed
    assert verdict.agreement == 1
    if name == "fill-mask":
        theirs = getattr(transformers, type(hot).__name__).from_pretrained(tmp_path / "model")
        assert_file_answers_as(theirs.eval(), report.model)
