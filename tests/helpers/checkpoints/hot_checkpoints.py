"""MobileBERTs with activations as large as those of the trained one, built from random ones.

transformers' own test of google/mobilebert-uncased expects the last hidden state of the first token to start with
−2.47e7, 8.3e4, 1.7e5, and that of the next tokens to be around 1, which fp16 cannot represent and int8 cannot resolve.
Two kinds of hot model have large *channels*, and channel scales can remove the size exactly; two have a large *token*,
as the trained model has:

- `hot_channels`, `hot_inner_channels`: channels of a stream are scaled up, and down again where they are read;
- `hot_hidden`: the same for the hidden channels of the feed-forward networks;
- `hot_token`: the first token has spikes in some channels, which are read with small weights;
- `hot_first_token`: the first token is large in all channels, and read with ordinary weights.

Each function takes a student with NoNorm and returns a changed copy. The first three also take transformers' models.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mbert_onnx.model.checkpoint import Checkpoint, save_checkpoint
from mbert_onnx.text.tasks import task_named

Model = TypeVar("Model", bound=nn.Module)

# Values of the trained model: channel 0 of the first token, and other channels of it.
SPIKE = -2.5e7
SMALLER_SPIKES = (1e4, 2e5)


def save(model: nn.Module, folder: Path) -> None:
    """Writes a student as a checkpoint in transformers' format."""
    task = task_named(type(model).__name__)
    config: Any = model.config
    config.architectures = [task.architecture]
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(Checkpoint(folder.name, folder, config, task, model), folder)


# Large channels


@torch.no_grad()
def hot_channels(model: Model, seed: int, *, lowest: float = 1e4, highest: float = 1e8, share: float = 1 / 16) -> Model:
    """Scales some channels of the stream between blocks by `channel_factors`, without changing the function.

    Writers of the stream are multiplied, readers divided; γ stays, since it acts on each channel separately. Half of
    the factors are applied to the embeddings' γ, where a fold removes them, the others to the sum before it. Factors
    are powers of two, so that rounding does not differ.

    Outputs that are the stream itself (`last_hidden_state`, `hidden_states`, a pooler that outputs the first token) are
    multiplied.
    """
    hot = _copy(model)
    config: Any = hot.config
    k = channel_factors(config.hidden_size, seed, lowest=lowest, highest=highest, share=share)
    _scale_embeddings(_backbone(hot).embeddings, config, k)
    _outer_stream(hot).scale(k)
    return hot


@torch.no_grad()
def hot_inner_channels(
    model: Model, seed: int, *, lowest: float = 1e4, highest: float = 1e8, share: float = 1 / 16
) -> Model:
    """Scales channels of the stream inside each block, with different factors in each."""
    hot = _copy(model)
    config: Any = hot.config
    if not config.use_bottleneck:
        raise ValueError("without bottlenecks, blocks have no inner stream")
    for number, layer in enumerate(_backbone(hot).encoder.layer):
        factors = channel_factors(
            config.intra_bottleneck_size, _mixed(seed, number), lowest=lowest, highest=highest, share=share
        )
        _inner_stream(layer, config).scale(factors)
    return hot


def channel_factors(
    width: int, seed: int, *, lowest: float = 1e4, highest: float = 1e8, share: float = 1 / 16
) -> Tensor:
    """``[width]``: powers of two, evenly spread from about `lowest` to about `highest`, in random places; else 1."""
    count = max(2, round(share * width))
    bounds = torch.tensor([lowest, highest], dtype=torch.float64).log2().round()
    exponents = torch.linspace(bounds[0].item(), bounds[1].item(), count).round()
    factors = torch.ones(width)
    factors[torch.randperm(width, generator=_generator(seed))[:count]] = 2.0**exponents
    return factors


@torch.no_grad()
def hot_hidden(model: Model, seed: int, *, spread: float = 1e8) -> Model:
    """Scales the hidden channels of each feed-forward network by 1 to `spread`, without changing the function.

    max(k·h, 0) = k·max(h, 0): columns of the first weight and its bias are multiplied, rows of the second divided.
    """
    hot = _copy(model)
    config: Any = hot.config
    if config.hidden_act != "relu":
        raise ValueError(f"{config.hidden_act} is not homogeneous: expected relu")
    for number, (widening, narrowing) in enumerate(_feed_forward_networks(hot)):
        width = widening.out_features
        k = channel_factors(width, _mixed(seed, number), lowest=1.0, highest=spread, share=1.0)
        widening.weight.mul_(k[:, None])
        widening.bias.mul_(k)
        narrowing.weight.div_(k)
    return hot


# One token


@torch.no_grad()
def hot_token(model: Model, seed: int) -> Model:
    """The first token is `SPIKE` in channel 0, and at `SMALLER_SPIKES` in others, from the embeddings to the end.

    The spikes come from the embedding of position 0, and γ is 1 in their channels. What reads such a channel has its
    weights divided by the spike: all that the first token gets from it is of order 1, the others get nothing.
    """
    hot = _copy(model)
    backbone, stream = _backbone(hot), _outer_stream(hot)
    generator = _generator(seed)
    width = backbone.embeddings.position_embeddings.embedding_dim
    count = max(3, width // 32)
    channels = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(width - 1, generator=generator)[:count]])
    low, high = SMALLER_SPIKES
    sizes = low * (high / low) ** torch.linspace(0, 1, count)
    spikes = torch.cat([torch.tensor([SPIKE]), sizes * _signs(count, generator)])
    for norm in (backbone.embeddings.LayerNorm, *(writer.LayerNorm for writer in stream.writers)):
        norm.weight[channels] = 1.0
    backbone.embeddings.position_embeddings.weight[0, channels] = spikes
    for reader in stream.readers:
        reader.weight[:, channels] /= spikes.abs()
    return hot


# The first token as a whole. The marker is in units of the stream's spread; the gate's numbers are in units of what its
# hidden channels vary by from text to text.
MARKER = 16.0
OPEN, CLOSED = 3.0, 10.0
# How much of their mean is added to the variances of the inner stream, estimated from few texts.
SHRINKAGE = 0.1
# Hidden channels that make the first token large, each through an inner channel of its own.
GATES = 8
# What a gate multiplies by in both its weights together: enough for ordinary weights to read the inner channel.
GATE_GAIN = 2.0**22
# Sizes of the first token's channels, but the first.
FIRST_TOKEN = (3e4, 1e6)
# How far a query turns from the first token's key, in units of what queries vary by.
AWAY = 3.0


@torch.no_grad()
def hot_first_token(model: Model, seed: int) -> Model:
    """The first token is 1e4 to 1e7 times the others in every channel after the first block, and read as they are.

    Other models come to such a token in one early block, and keep it to the last (Sun et al. 2024, "Massive
    Activations in Large Language Models", arXiv 2402.17762). So here: some hidden channels of one feed-forward network
    are open for the first token alone, and make it large. How large differs from text to text, in as many directions
    as there are such channels, so that what is read from the first token depends on the text.

    From there on weights are what they were, and attention is saturated. Queries get biases with which no token
    attends to the first one, else all would be large. It attends to itself or, where its score of itself is
    negative, to the one other token with the largest score. A pooler is shrunk, so that its tanh is not saturated.

    Heads that read each token give the first one outputs as large; to judge the others, leave it out by the mask.
    The masked LM's has a true layer normalization, and all its outputs are of one size.
    """
    hot = _copy(model)
    config: Any = hot.config
    if config.hidden_act != "relu":
        raise ValueError(f"{config.hidden_act} never closes: expected relu")
    texts = _Texts(config, seed)
    backbone, generator = _backbone(hot), _generator(seed)
    spread = texts.run(backbone).hidden_states[0][texts.real].std(dim=0).mean()
    backbone.embeddings.position_embeddings.weight[0] += MARKER * spread * _normal(config.hidden_size, generator)
    layers = backbone.encoder.layer
    _while_hooked(layers[:1], texts, backbone)
    _open_gates(backbone, texts, generator)
    for writer in _outer_stream(hot).writers:
        writer.LayerNorm.weight[0] = 1.0
    first = _while_hooked(layers[1:], texts, backbone).last_hidden_state[:, 0]
    for reader in _heads(hot, of_first_token=True):
        reader.weight.div_((first @ reader.weight.T).square().mean().sqrt())
    return hot


def _while_hooked(layers: Any, texts: _Texts, backbone: Any) -> Any:
    """Runs the texts and turns the queries of these layers away from the first token."""
    hooks = [layer.attention.self.register_forward_pre_hook(texts.turn_queries_away) for layer in layers]
    outputs = texts.run(backbone)
    for hook in hooks:
        hook.remove()
    return outputs


def _open_gates(backbone: Any, texts: _Texts, generator: torch.Generator) -> None:
    """Hidden channels of the first block's last network become those that make the first token large."""
    layer = backbone.encoder.layer[0]
    seen: list[Tensor] = []
    hook = layer.intermediate.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    texts.run(backbone)
    hook.remove()
    y = seen[0].view(*texts.real.shape, -1)
    first, others = y[:, 0], y[:, 1:][texts.real[:, 1:]]

    # The direction in which they differ most for what they vary by (Fisher 1936).
    varied = torch.cat([first - first.mean(dim=0), others - others.mean(dim=0)])
    covariance = varied.T @ varied / len(varied)
    covariance += SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(covariance))
    apart = torch.linalg.solve(covariance, first.mean(dim=0) - others.mean(dim=0))
    apart /= apart.norm()
    gap = (first @ apart).min() - (others @ apart).max()
    if gap <= 0:
        raise ValueError("the first token is not to be told from the others; try another seed")
    widening, narrowing = layer.intermediate.dense, layer.output.dense
    gates = min(GATES, widening.out_features // 4)
    reads = _normal((gates, y.shape[-1]), generator)
    reads -= (reads @ apart)[:, None] * apart
    reads /= (first @ reads.T).std(dim=0)[:, None]
    # Open by OPEN for the first token's mean, closed by CLOSED for all others.
    varied = (others - first.mean(dim=0)) @ reads.T
    steepness = (OPEN + CLOSED + varied.max(dim=0).values.clamp(min=0.0)) / gap
    weight = reads + steepness[:, None] * apart
    bias = OPEN - weight @ first.mean(dim=0)

    units = torch.randperm(widening.out_features, generator=generator)[:gates]
    # Both weights have the same magnitude, which fp16 can represent.
    scale = 2.0 ** (GATE_GAIN / max(weight.abs().max(), bias.abs().max())).sqrt().log2().round()
    widening.weight[units] = scale * weight
    widening.bias[units] = scale * bias
    profile = _first_token_profile(backbone.config.hidden_size, gates, generator) / (OPEN * gates)
    narrowing.weight[:, units] = 0.0
    if not backbone.config.use_bottleneck:
        narrowing.weight[:, units] = profile / scale
        return
    # Each of these inner channels is the gate's, so that its weights are no row's outliers.
    channels = torch.randperm(narrowing.out_features, generator=generator)[:gates]
    narrowing.weight[channels] = 0.0
    narrowing.weight[channels, units] = GATE_GAIN / scale
    layer.output.LayerNorm.weight[channels] = 1.0
    layer.output.bottleneck.dense.weight[:, channels] = profile / GATE_GAIN


def _first_token_profile(width: int, gates: int, generator: torch.Generator) -> Tensor:
    """``[width, gates]``: what each gate adds; together, `SPIKE` in channel 0 and `FIRST_TOKEN` in the others."""
    low, high = FIRST_TOKEN
    sizes = low * (high / low) ** torch.rand(width, generator=generator) * _signs(width, generator)
    profile = sizes[:, None] * (1.0 + _normal((width, gates), generator))
    profile[0] = SPIKE
    return profile


class _Texts:
    """Random texts of several lengths, from which the statistics of a model are estimated."""

    def __init__(self, config: Any, seed: int) -> None:
        generator = _generator(seed)
        longest = min(128, config.max_position_embeddings)
        lengths = torch.tensor([longest] * 8 + [longest // 4] * 4 + [3, 2, 2, 1])
        shape = (len(lengths), longest)
        self.real = torch.arange(longest) < lengths[:, None]
        self.ids = torch.randint(0, config.vocab_size, shape, generator=generator)
        self.types = torch.randint(0, config.type_vocab_size, shape, generator=generator)

    def run(self, backbone: Any) -> Any:
        return backbone(self.ids, self.real.long(), self.types, output_hidden_states=True)

    def turn_queries_away(self, attention: Any, args: tuple[Any, ...]) -> None:
        """A hook before attention: changes the queries' bias so that no other token attends to the first one."""
        source, _, _, batch, seq = args
        split = (batch, seq, attention.heads, attention.size)
        queries, key = attention.query(source).view(split)[:, 1:], attention.key(source).view(split)[:, 0]
        real = self.real[:, 1:]
        direction = nn.functional.normalize(key.mean(dim=0), dim=-1)
        toward = (key * direction).sum(dim=-1)
        if not (toward > 0).all():
            raise ValueError("the first token's keys point everywhere; try another seed")
        distance = AWAY * queries[real].std(dim=0).norm(dim=-1)
        scores = torch.einsum("bihs,bhs->bih", queries, key) + (distance * key.norm(dim=-1))[:, None]
        steps = (scores / toward[:, None])[real].max(dim=0).values.clamp(min=0.0)
        attention.query.bias.sub_((steps[:, None] * direction).flatten())


# Writers and readers of a stream


@dataclass(frozen=True)
class _Stream:
    """Writers of a stream, each a `dense` with a residual and a `LayerNorm`, and the linear layers that read it."""

    writers: list[Any]
    readers: list[Any]

    def scale(self, k: Tensor) -> None:
        for writer in self.writers:
            writer.dense.weight.mul_(k[:, None])
            writer.dense.bias.mul_(k)
            writer.LayerNorm.bias.mul_(k)
        for reader in self.readers:
            reader.weight.div_(k)


def _outer_stream(model: nn.Module) -> _Stream:
    """The stream between blocks; the embeddings, which start it, are not among its writers."""
    config: Any = model.config
    writers, readers = [], _heads(model, of_first_token=True) + _heads(model, of_first_token=False)
    for layer in _backbone(model).encoder.layer:
        attention = layer.attention.self
        if not config.use_bottleneck:
            writers += _inner_writers(layer)
            readers += [attention.query, attention.key, attention.value, *_widenings(layer)]
            continue
        writers.append(layer.output.bottleneck)
        readers.append(layer.bottleneck.input.dense)
        if config.key_query_shared_bottleneck:
            readers.append(layer.bottleneck.attention.dense)
        if not config.use_bottleneck_attention:
            readers.append(attention.value)
            if not config.key_query_shared_bottleneck:
                readers += [attention.query, attention.key]
    return _Stream(writers, readers)


def _inner_stream(layer: Any, config: Any) -> _Stream:
    attention = layer.attention.self
    readers = [*_widenings(layer), layer.output.bottleneck.dense]
    if config.use_bottleneck_attention:
        readers += [attention.query, attention.key, attention.value]
    return _Stream([layer.bottleneck.input, *_inner_writers(layer)], readers)


def _inner_writers(layer: Any) -> list[Any]:
    return [layer.attention.output, *(network.output for network in getattr(layer, "ffn", ())), layer.output]


def _widenings(layer: Any) -> list[Any]:
    """The first linear layer of each feed-forward network."""
    return [*(network.intermediate.dense for network in getattr(layer, "ffn", ())), layer.intermediate.dense]


def _feed_forward_networks(model: nn.Module) -> Iterator[tuple[Any, Any]]:
    """The two linear layers of each feed-forward network in the model."""
    for layer in _backbone(model).encoder.layer:
        narrowings = [writer.dense for writer in _inner_writers(layer)[1:]]
        yield from zip(_widenings(layer), narrowings, strict=True)


def _heads(model: nn.Module, *, of_first_token: bool) -> list[Any]:
    """The linear layers after the last block that read the stream: of its first token alone, or of every token."""
    pooler = getattr(_backbone(model), "pooler", None)
    if not of_first_token:
        classifier = ["classifier"] if pooler is None else []
        return _modules(model, "qa_outputs", "cls.predictions.transform.dense", *classifier)
    if pooler is None:
        return []
    dense = getattr(pooler, "dense", None)
    return _modules(model, "classifier", "cls.seq_relationship") if dense is None else [dense]


def _modules(model: nn.Module, *names: str) -> list[Any]:
    there = dict(model.named_modules())
    return [there[name] for name in names if name in there]


def _scale_embeddings(embeddings: Any, config: Any, k: Tensor) -> None:
    """Multiplies the channels of what embeddings give, one half behind γ, the other before it."""
    before = k.clone()
    before[(k != 1).nonzero().flatten()[::2]] = 1.0
    if not config.trigram_input and config.embedding_size == config.hidden_size:
        before = torch.ones_like(k)  # the words' own table may be the LM's decoder, too
    else:
        embeddings.embedding_transformation.weight.mul_(before[:, None])
        embeddings.embedding_transformation.bias.mul_(before)
    embeddings.position_embeddings.weight.mul_(before)
    embeddings.token_type_embeddings.weight.mul_(before)
    embeddings.LayerNorm.weight.mul_(k / before)
    embeddings.LayerNorm.bias.mul_(k)


def _backbone(model: Any) -> Any:
    return getattr(model, "mobilebert", model)


def _copy(model: Model) -> Model:
    config: Any = model.config
    if config.normalization_type != "no_norm":
        raise ValueError("a layer normalization makes everything one size: expected NoNorm")
    return copy.deepcopy(model).eval()


# Random numbers


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _mixed(seed: int, number: int) -> int:
    """Returns the seed of a numbered part."""
    return 1000 * seed + number


def _normal(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _signs(count: int, generator: torch.Generator) -> Tensor:
    return 1.0 - 2.0 * torch.randint(0, 2, (count,), generator=generator)
