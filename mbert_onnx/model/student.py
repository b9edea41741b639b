"""MobileBERT, the student, in one file (Sun et al. 2020, arXiv 2004.02984, section 3).

Read it from top to bottom: NoNorm, embeddings, bottleneck, attention, feed-forward networks, one layer, the encoder,
the pooler, and a head for each task. Classes and values carry the paper's terms; *parameters* carry the names of
transformers' own modules, so state dicts go back and forth by name.

It is written to be traced. The streams are two-dimensional, ``[tokens, channels]`` with ``tokens = batch * seq``:
every linear layer is then one GEMM, and the only shape that is ever computed is the one that splits heads. There is
no control flow on data. What a config can switch is decided when the module is built.

Names of sizes in the shapes below: ``hidden`` is the stream between blocks (512 channels), ``intra`` the stream inside
a block (128), ``size = intra / heads`` one attention head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MobileBertConfig
from transformers.activations import ACT2FN
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    NextSentencePredictorOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.models.mobilebert.modeling_mobilebert import MobileBertForPreTrainingOutput
from transformers.utils import ModelOutput

# transformers gives the config's eps to most norms, but torch's default to those of the embeddings and of the last
# feed-forward network. It matters only where `normalization_type` is `layer_norm`.
TORCH_LAYER_NORM_EPS = 1e-5

# The smallest length by which a sentence's vector is divided, as in torch's `normalize`.
SHORTEST = 1e-12


def intra_size(config: MobileBertConfig) -> int:
    """Returns the width of a block's inner stream: `intra_bottleneck_size`, or `hidden_size` without bottlenecks."""
    return config.intra_bottleneck_size if config.use_bottleneck else config.hidden_size


class NoNorm(nn.Module):
    """NoNorm, γ∘h + β: the paper's replacement of layer normalization (section 3.3), which computes no statistics."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, h: Tensor) -> Tensor:
        return h * self.weight + self.bias


def make_norm(config: MobileBertConfig, size: int, eps: float | None = None) -> nn.Module:
    """Builds the config's normalization: NoNorm or layer normalization."""
    if config.normalization_type == "no_norm":
        return NoNorm(size)
    return nn.LayerNorm(size, eps=config.layer_norm_eps if eps is None else eps)


class Embeddings(nn.Module):
    """Factorised embeddings (section 3.2): 128-wide words, a convolution over three neighbours, ``hidden`` out."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.trigram_input = config.trigram_input
        self.transforms = config.trigram_input or config.embedding_size != config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        neighbours = 3 if config.trigram_input else 1
        # transformers' state dict holds it even where it is unused.
        self.embedding_transformation = nn.Linear(config.embedding_size * neighbours, config.hidden_size)
        self.LayerNorm = make_norm(config, config.hidden_size, TORCH_LAYER_NORM_EPS)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        token_mask: Tensor | None = None,
        *,
        repeat_first: bool = False,
    ) -> Tensor:
        """Ids, both ``[batch, seq]``, to ``[tokens, hidden]``.

        With a mask, 1 for a token and 0 for padding, a text's last token reads zeros after it, as if it were alone.
        Without, it reads the embedding of the padding token, as in transformers. With `repeat_first` padding is then a
        copy of the text's first token: ranges over all tokens, as int8 measures them, are those of the text alone.
        """
        words = self.word_embeddings(input_ids)
        if self.trigram_input:
            if token_mask is not None:
                words = words * token_mask.to(words.dtype)[:, :, None]
            # The convolution of width 3 as a product with [next | this | previous]; zeros beyond both ends.
            padded = nn.functional.pad(words, (0, 0, 1, 1))
            words = torch.cat([padded[:, 2:], words, padded[:, :-2]], dim=2)
        x = words.flatten(0, 1)
        if self.transforms:
            x = self.embedding_transformation(x)
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        x = x + (self.token_type_embeddings(token_type_ids) + positions).flatten(0, 1)
        if token_mask is not None and repeat_first:
            rows = x.view(*input_ids.shape, x.shape[1])
            x = torch.where(token_mask.bool()[:, :, None], rows, rows[:, :1]).flatten(0, 1)
        return self.dropout(self.LayerNorm(x))


class BottleneckLayer(nn.Module):
    """``hidden`` → ``intra``: one linear map into a block."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intra_bottleneck_size)
        self.LayerNorm = make_norm(config, config.intra_bottleneck_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x))


class Bottleneck(nn.Module):
    """The way into a block (figure 1): the inner stream, and the sources of queries, keys and values."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.use_bottleneck_attention = config.use_bottleneck_attention
        self.input = BottleneckLayer(config)
        # transformers' state dict holds the shared bottleneck even where `use_bottleneck_attention` leaves it unused.
        self.attention = BottleneckLayer(config) if config.key_query_shared_bottleneck else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``[tokens, hidden]`` to (inner stream, source of queries and keys, source of values)."""
        inner = self.input(x)
        if self.use_bottleneck_attention:
            return inner, inner, inner
        if self.attention is not None:
            return inner, self.attention(x), x
        return inner, x, x


class SelfAttention(nn.Module):
    """Multi-head attention up to the concatenated heads. Queries and keys come from one source, values from another."""

    def __init__(self, config: MobileBertConfig, heads: int) -> None:
        super().__init__()
        intra = intra_size(config)
        self.heads, self.size = heads, intra // config.num_attention_heads
        # Without a bottleneck the source is as wide as the stream: the teacher's queries and keys (transformers has no
        # such case).
        narrowed = config.use_bottleneck_attention or config.key_query_shared_bottleneck
        qk_width = intra if narrowed else config.hidden_size
        self.query = nn.Linear(qk_width, self.heads * self.size)
        self.key = nn.Linear(qk_width, self.heads * self.size)
        self.value = nn.Linear(intra if config.use_bottleneck_attention else config.hidden_size, self.heads * self.size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, qk_source: Tensor, v_source: Tensor, mask_bias: Tensor, batch: int, seq: int
    ) -> tuple[Tensor, Tensor]:
        """Context ``[tokens, heads * size]`` and attention probabilities ``[batch, heads, seq, seq]``."""
        split = (batch, seq, self.heads, self.size)
        # 1/sqrt(size) scales the query and not the scores: it can be folded into the query's linear layer.
        query = (self.query(qk_source) * self.size**-0.5).view(split).permute(0, 2, 1, 3)
        key = self.key(qk_source).view(split).permute(0, 2, 3, 1)
        value = self.value(v_source).view(split).permute(0, 2, 1, 3)
        attention = (query @ key + mask_bias).softmax(dim=-1)
        context = (self.dropout(attention) @ value).permute(0, 2, 1, 3)
        return context.flatten(2).flatten(0, 1), attention


class ResidualOutput(nn.Module):
    """norm(y·W + b + residual): the output of every sub-block, written back to a stream."""

    def __init__(
        self, config: MobileBertConfig, width: int, out: int, dropout: float, eps: float | None = None
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(width, out)
        self.LayerNorm = make_norm(config, out, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(y)) + residual)


class Attention(nn.Module):
    """Attention with its output projection, written to the inner stream."""

    def __init__(self, config: MobileBertConfig, heads: int) -> None:
        super().__init__()
        intra = intra_size(config)
        self.self = SelfAttention(config, heads)
        dropout = 0.0 if config.use_bottleneck else config.hidden_dropout_prob
        self.output = ResidualOutput(config, self.self.heads * self.self.size, intra, dropout)

    def forward(
        self, inner: Tensor, qk_source: Tensor, v_source: Tensor, mask_bias: Tensor, batch: int, seq: int
    ) -> tuple[Tensor, Tensor]:
        context, attention = self.self(qk_source, v_source, mask_bias, batch, seq)
        return self.output(context, inner), attention


class Intermediate(nn.Module):
    """The widening half of a feed-forward network: ``intra`` → `intermediate_size`, activated."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(intra_size(config), config.intermediate_size)
        self.intermediate_act_fn = ACT2FN[config.hidden_act]

    def forward(self, y: Tensor) -> Tensor:
        return self.intermediate_act_fn(self.dense(y))


class FeedForward(nn.Module):
    """One of the stacked feed-forward networks that balance attention (section 3.2); all but the last."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size, intra_size(config), dropout=0.0)

    def forward(self, y: Tensor) -> Tensor:
        return self.output(self.intermediate(y), y)


class BlockOutput(ResidualOutput):
    """The narrowing half of the last feed-forward network, then the way out of the block: ``intra`` → ``hidden``."""

    def __init__(self, config: MobileBertConfig) -> None:
        dropout = 0.0 if config.use_bottleneck else config.hidden_dropout_prob
        super().__init__(config, config.intermediate_size, intra_size(config), dropout, TORCH_LAYER_NORM_EPS)
        self.bottleneck = (
            ResidualOutput(config, intra_size(config), config.hidden_size, config.hidden_dropout_prob)
            if config.use_bottleneck
            else None
        )

    def forward(self, widened: Tensor, inner: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        y = super().forward(widened, inner)
        return y if self.bottleneck is None else self.bottleneck(y, x)


class Layer(nn.Module):
    """One block (figure 1, right): into the bottleneck, attention, stacked feed-forward networks, out again."""

    def __init__(self, config: MobileBertConfig, heads: int) -> None:
        super().__init__()
        self.bottleneck = Bottleneck(config) if config.use_bottleneck else None
        self.attention = Attention(config, heads)
        # transformers keeps the last network's two halves apart from the others: `intermediate` and `output`.
        self.ffn = nn.ModuleList(FeedForward(config) for _ in range(config.num_feedforward_networks - 1))
        self.intermediate = Intermediate(config)
        self.output = BlockOutput(config)

    def forward(self, x: Tensor, mask_bias: Tensor, batch: int, seq: int) -> tuple[Tensor, Tensor]:
        """``x``: ``[tokens, hidden]``; returns the next ``x`` and this layer's attention probabilities."""
        inner, qk_source, v_source = self.bottleneck(x) if self.bottleneck is not None else (x, x, x)
        y, attention = self.attention(inner, qk_source, v_source, mask_bias, batch, seq)
        for network in self.ffn:
            y = network(y)
        return self.output(self.intermediate(y), y, x), attention


class Encoder(nn.Module):
    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        # The weights of pruned heads are removed. transformers 5 no longer prunes, and its configs have no such field.
        pruned = {int(layer): set(heads) for layer, heads in (getattr(config, "pruned_heads", None) or {}).items()}
        self.layer = nn.ModuleList(
            Layer(config, config.num_attention_heads - len(pruned.get(index, ())))
            for index in range(config.num_hidden_layers)
        )


class Pooler(nn.Module):
    """The first token, through a tanh layer unless `classifier_activation` is off."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size) if config.classifier_activation else None

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0]
        return first if self.dense is None else torch.tanh(self.dense(first))


class MobileBertModel(nn.Module):
    """The bare model: embeddings, encoder, pooler. Interchanges state dicts with transformers' class of this name."""

    def __init__(self, config: MobileBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPooling:
        """Hidden states for ids.

        Args:
            input_ids: ``[batch, seq]``, integers below `vocab_size`.
            attention_mask: 1 for a token, 0 for padding: ``[batch, seq]``, or ``[batch, seq, seq]`` for one row of
                mask per query. Default: no padding.
            token_type_ids: ``[batch, seq]``, integers below `type_vocab_size`. Default: zeros.
            output_attentions: also return each layer's attention, ``[batch, heads, seq, seq]``.
            output_hidden_states: also return the embeddings and each layer's output, ``[batch, seq, hidden]``.
                Default of both: what the config says.

        Returns:
            `last_hidden_state` ``[batch, seq, hidden]`` and `pooler_output` ``[batch, hidden]`` (None with no pooler).
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states

        batch, seq = input_ids.shape
        x = self.embeddings(input_ids, token_type_ids)
        mask_bias = padding_bias(attention_mask, x.dtype)
        hidden_states, attentions = [x], []
        for layer in self.encoder.layer:
            x, attention = layer(x, mask_bias, batch, seq)
            hidden_states.append(x)
            attentions.append(attention)
        last = x.view(batch, seq, -1)
        return BaseModelOutputWithPooling(
            last_hidden_state=last,
            pooler_output=None if self.pooler is None else self.pooler(last),
            hidden_states=tuple(h.view(batch, seq, -1) for h in hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


def padding_bias(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the mask bias, added to attention scores: 0 at tokens, half of the lowest finite number at padding.

    Half, because scores and the row's maximum are added to it and must not reach −inf, in float16 too. While
    scores stay within a quarter of the type's range, the weight of padding underflows to an exact 0, and a row that
    holds nothing but padding gets finite weights.

    Returns ``[batch, 1, 1 or seq, seq]``.
    """
    mask = attention_mask.to(dtype)
    mask = mask[:, None, None, :] if mask.dim() == 2 else mask[:, None]
    return (1.0 - mask) * (torch.finfo(dtype).min / 2)


class LMTransform(nn.Module):
    """dense, activation, and layer normalization in every config."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.transform_act_fn = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(self.transform_act_fn(self.dense(x)))


class LMPredictions(nn.Module):
    """Scores over the vocabulary: the first channels times the word embeddings, the others times another weight."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.embedding_size = config.embedding_size
        self.transform = LMTransform(config)
        # Its weight is [hidden - embedding, vocab]: transformers declares it as a layer, and uses only the weight.
        self.dense = nn.Linear(config.vocab_size, config.hidden_size - config.embedding_size, bias=False)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.decoder.bias = self.bias

    def forward(self, x: Tensor) -> Tensor:
        """``[tokens, hidden]`` to ``[tokens, vocab]``."""
        h = self.transform(x)
        # Two products over parts of the channels: joining the weights would copy the tied table.
        scores = self.decoder(h[:, : self.embedding_size])
        if self.dense.out_features:
            scores = scores + h[:, self.embedding_size :] @ self.dense.weight
        return scores


class PretrainingHeads(nn.Module):
    """The heads that transformers names `cls`: word predictions, the relation of two sentences, or both."""

    def __init__(self, config: MobileBertConfig, predictions: bool, seq_relationship: bool) -> None:
        super().__init__()
        if predictions:
            self.predictions = LMPredictions(config)
            self.tied = config.tie_word_embeddings
        if seq_relationship:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)

    def tie(self, backbone: MobileBertModel) -> None:
        """Ties the predictions' decoder to the word embeddings, unless the config's `tie_word_embeddings` is off."""
        if self.tied:
            self.predictions.decoder.weight = backbone.embeddings.word_embeddings.weight


class TaskModel(nn.Module):
    """Base of the task models: the backbone, with the same inputs, then a `head` on its output."""

    pooled = True  # whether the head reads the pooler

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.config = config
        self.mobilebert = MobileBertModel(config, add_pooling_layer=self.pooled)

    def forward(self, *args: Any, **kwargs: Any) -> ModelOutput:
        """Takes the arguments of `MobileBertModel`; returns the output of transformers' class of this name."""
        base = self.mobilebert(*args, **kwargs)
        batch, seq, _ = base.last_hidden_state.shape
        outputs = self.head(base.last_hidden_state.flatten(0, 1), base.pooler_output, batch, seq)
        return self.output_type(hidden_states=base.hidden_states, attentions=base.attentions, **outputs)

    output_type: type[ModelOutput]

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """The task's outputs, from the stream after the last layer ``[tokens, hidden]`` and the pooler's output."""
        raise NotImplementedError


class MobileBertForPreTraining(TaskModel):
    """Masked language modeling and next sentence prediction: the paper's pre-training (section 4.2)."""

    output_type = MobileBertForPreTrainingOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config)
        self.cls = PretrainingHeads(config, predictions=True, seq_relationship=True)
        self.cls.tie(self.mobilebert)

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`prediction_logits` ``[batch, seq, vocab]`` and `seq_relationship_logits` ``[batch, 2]``."""
        return {
            "prediction_logits": self.cls.predictions(x).view(batch, seq, self.config.vocab_size),
            "seq_relationship_logits": self.cls.seq_relationship(pooled),
        }


class MobileBertForMaskedLM(TaskModel):
    pooled = False
    output_type = MaskedLMOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config)
        self.cls = PretrainingHeads(config, predictions=True, seq_relationship=False)
        self.cls.tie(self.mobilebert)

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`logits` ``[batch, seq, vocab]``."""
        return {"logits": self.cls.predictions(x).view(batch, seq, self.config.vocab_size)}


class MobileBertForNextSentencePrediction(TaskModel):
    output_type = NextSentencePredictorOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config)
        self.cls = PretrainingHeads(config, predictions=False, seq_relationship=True)

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`logits` ``[batch, 2]``: the second sentence follows the first, or it does not."""
        return {"logits": self.cls.seq_relationship(pooled)}


class MobileBertForQuestionAnswering(TaskModel):
    pooled = False
    output_type = QuestionAnsweringModelOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config)
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`start_logits` and `end_logits`, both ``[batch, seq]``."""
        scores = self.qa_outputs(x).view(batch, seq, 2)
        return {"start_logits": scores[:, :, 0], "end_logits": scores[:, :, 1]}


class Classifier(TaskModel):
    """Dropout, then one linear layer: the head of the three classifiers below."""

    def __init__(self, config: MobileBertConfig, labels: int) -> None:
        super().__init__(config)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.classifier = nn.Linear(config.hidden_size, labels)


class MobileBertForSequenceClassification(Classifier):
    output_type = SequenceClassifierOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config, config.num_labels)

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`logits` ``[batch, labels]``."""
        return {"logits": self.classifier(self.dropout(pooled))}


class MobileBertForTokenClassification(Classifier):
    pooled = False
    output_type = TokenClassifierOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config, config.num_labels)

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`logits` ``[batch, seq, labels]``."""
        return {"logits": self.classifier(self.dropout(x)).view(batch, seq, self.config.num_labels)}


class MobileBertForMultipleChoice(Classifier):
    output_type = MultipleChoiceModelOutput

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__(config, labels=1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Inputs are ``[batch, choices, seq]``; `logits` ``[batch, choices]``."""
        rows = [None if ids is None else ids.flatten(0, 1) for ids in (input_ids, attention_mask, token_type_ids)]
        output = super().forward(*rows, **kwargs)
        output["logits"] = output["logits"].view(input_ids.shape[:2])
        return output

    def head(self, x: Tensor, pooled: Tensor | None, batch: int, seq: int) -> dict[str, Tensor]:
        """`logits` ``[batch * choices, 1]``: a score for each row."""
        return {"logits": self.classifier(self.dropout(pooled))}


@dataclass
class SentenceSimilarityOutput(ModelOutput):
    """Output of `MobileBertForSentenceSimilarity`; transformers has no class for it."""

    last_hidden_state: Tensor | None = None
    sentence_embedding: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class MeanPooling(nn.Module):
    """The mean of the hidden states of a text's tokens, scaled to length 1 with `normalize`.

    What sentence-transformers' modules Pooling (mean) and Normalize compute, without parameters.
    """

    def __init__(self, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    def forward(self, states: Tensor, token_mask: Tensor) -> Tensor:
        """States ``[batch, seq, hidden]`` and a mask ``[batch, seq]``, 1 for tokens, to vectors ``[batch, hidden]``.

        A text without a token has zeros.
        """
        mask = token_mask.to(states.dtype)
        # Each weight is divided by the number of tokens, so that no sum leaves the range of float16.
        weights = mask / mask.sum(dim=1, keepdim=True).clamp(min=1.0)
        mean = (weights[:, None] @ states).squeeze(1)
        if not self.normalize:
            return mean
        # Scaled by the largest number first, because squares of large numbers leave the range of float16.
        mean = mean / mean.abs().amax(dim=1, keepdim=True).clamp(min=SHORTEST)
        return mean / (mean * mean).sum(dim=1, keepdim=True).sqrt().clamp(min=SHORTEST)


class MobileBertForSentenceSimilarity(nn.Module):
    """The bare model without pooler, then one vector for each text, as sentence-transformers computes it.

    Its parameters are those of `MobileBertModel` in `mobilebert`.
    """

    def __init__(self, config: MobileBertConfig, normalize: bool = True) -> None:
        super().__init__()
        self.config = config
        self.mobilebert = MobileBertModel(config, add_pooling_layer=False)
        self.pooling = MeanPooling(normalize)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> SentenceSimilarityOutput:
        """Takes the arguments of `MobileBertModel`, with a mask ``[batch, seq]``.

        Returns `last_hidden_state` ``[batch, seq, hidden]`` and `sentence_embedding` ``[batch, hidden]``.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        base = self.mobilebert(input_ids, mask, *args, **kwargs)
        return SentenceSimilarityOutput(
            last_hidden_state=base.last_hidden_state,
            sentence_embedding=self.pooling(base.last_hidden_state, mask),
            hidden_states=base.hidden_states,
            attentions=base.attentions,
        )
