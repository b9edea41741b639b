"""IB-BERT, the teacher: a BERT_LARGE with inverted bottlenecks (Sun et al. 2020, section 3.1, figure 1 (b), table 1).

It is built from the student's modules, `student.py`, and differs only in its config: a block is *wider* than the stream
between blocks, so that its linear layers open an inverted bottleneck; queries, keys and values are all computed from
the stream between blocks, 512 channels wide (with the block's 1024, it would have 332 M parameters and not 293 M); each
block has one feed-forward network; layer normalization; GELU. Its stream is as wide as the student's, so that feature
maps can be compared layer by layer, and it has as many heads, so that attention maps can.
"""

from __future__ import annotations

from typing import Any

from transformers import MobileBertConfig

from mbert_onnx.errors import UsageError


class IBBertConfig(MobileBertConfig):
    """`MobileBertConfig` with the teacher's defaults: IB-BERT_LARGE of table 1.

    transformers has no class for it: none of its configs describes this architecture.
    """

    model_type = "ib_bert"

    def __init__(
        self,
        intra_bottleneck_size: int = 1024,
        intermediate_size: int = 4096,
        num_feedforward_networks: int = 1,
        hidden_act: str = "gelu",
        normalization_type: str = "layer_norm",
        key_query_shared_bottleneck: bool = False,
        hidden_dropout_prob: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(
            intra_bottleneck_size=intra_bottleneck_size,
            intermediate_size=intermediate_size,
            num_feedforward_networks=num_feedforward_networks,
            hidden_act=hidden_act,
            normalization_type=normalization_type,
            key_query_shared_bottleneck=key_query_shared_bottleneck,
            hidden_dropout_prob=hidden_dropout_prob,
            **options,
        )


def _ablation(inter: int, intra: int, heads: int) -> dict[str, Any]:
    """Returns a row of table 2: sizes between and in blocks; the feed-forward network is four times as wide."""
    return {
        "hidden_size": inter,
        "intra_bottleneck_size": intra,
        "intermediate_size": 4 * intra,
        "num_attention_heads": heads,
    }


# The teachers that table 2 compares, named by the sizes between and in blocks and the number of heads. The last is
# ours: small enough to be trained in an hour on two CPU cores.
TEACHERS: dict[str, dict[str, Any]] = {
    "ib-bert": {},
    **{
        f"ib-bert-{inter}-{intra}-{heads}": _ablation(inter, intra, heads)
        for inter, intra, heads in (
            (1024, 1024, 16),
            (768, 1024, 16),
            (512, 1024, 16),
            (384, 1024, 16),
            (256, 1024, 16),
            (512, 1024, 4),
            (512, 512, 4),
            (512, 256, 4),
        )
    },
    "ib-bert-laptop": {**_ablation(256, 384, 4), "num_hidden_layers": 12, "max_position_embeddings": 128},
}


def teacher_config(preset: str = "ib-bert", **changes: Any) -> IBBertConfig:
    """Returns the config of a teacher: `ib-bert` has 293 M parameters in table 1 of the paper.

    Raises UsageError for a name that is not in `TEACHERS`.
    """
    if preset not in TEACHERS:
        raise UsageError(f"no teacher is called {preset!r}; known: {', '.join(TEACHERS)}")
    return IBBertConfig(**{**TEACHERS[preset], **changes})
