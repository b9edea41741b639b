"""The strategies of section 3.5, each as the list of its stages: what is compared, what is trained, for how long.

`auxiliary`: one stage, in which the layers' transfer is an auxiliary loss beside pre-training distillation.
`joint`: all layers learn from the teacher's at once, then comes pre-training distillation.
`progressive`: layer after layer learns from the teacher's, each on top of those that have learnt, which stay as they
are or follow at a small learning rate; then comes pre-training distillation.
`none`: what they are compared with, pre-training without a teacher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mbert_onnx.errors import UsageError

STRATEGIES = ("progressive", "joint", "auxiliary", "none")


@dataclass(frozen=True)
class Stage:
    """A part of the schedule.

    Args:
        name: For people and folders.
        steps: How many steps of the optimizer it has.
        layers: Those whose feature maps and attention maps are compared with the teacher's, from 0.
        predicts: Whether the loss has that of pre-training: words behind masks, and the next sentence.
        teaches: Whether there is a teacher.
        lowest: The first layer that is trained at the full learning rate; None if everything is, embeddings and heads
            included.
        lower_rate: What the learning rate is multiplied by below `lowest`; 0 keeps what is there.
        depth: How many layers are computed: none above the last that is compared.
        next_sentence: Whether it is asked which sentence comes next; else what serves that alone stays as it is.
    """

    name: str
    steps: int
    layers: tuple[int, ...]
    predicts: bool
    teaches: bool
    lowest: int | None
    lower_rate: float
    depth: int
    next_sentence: bool = True

    def rate(self, parameter: str) -> float:
        """What the learning rate of a parameter is multiplied by, given its name in the pre-training model."""
        if not self.next_sentence and _is_of_next_sentence(parameter):
            return 0.0
        if self.lowest is None:
            return 1.0
        layer = layer_of(parameter)
        if layer < self.lowest:
            return self.lower_rate
        return 1.0 if layer < self.depth else 0.0


# The embeddings lie below the first layer, the pooler and the heads above every layer.
BELOW, ABOVE = -1, 2**31


def layer_of(parameter: str) -> int:
    """The layer with which a parameter is trained: its number in the encoder, `BELOW` or `ABOVE`.

    The embeddings' normalization belongs to the first layer: the student's has no statistics, so that it cannot be the
    teacher's, as all else in the embeddings is.
    """
    parts = parameter.split(".")
    if "encoder" in parts:
        return int(parts[parts.index("layer") + 1])
    if "embeddings" in parts:
        return 0 if "LayerNorm" in parts else BELOW
    return ABOVE


def _is_of_next_sentence(parameter: str) -> bool:
    """Whether a parameter serves the next sentence alone: the pooler, and its head."""
    parts = parameter.split(".")
    return "pooler" in parts or "seq_relationship" in parts


def stages_of(
    strategy: str,
    *,
    layers: int,
    transfer_steps: int,
    distillation_steps: int,
    lower_rate: float = 0.0,
    next_sentence: bool = True,
) -> list[Stage]:
    """The stages of a strategy.

    Args:
        strategy: One of `STRATEGIES`.
        layers: How many the student has.
        transfer_steps: Steps of the layers' transfer; progressive transfer divides them among the layers.
        distillation_steps: Steps of pre-training distillation.
        lower_rate: Of progressive transfer, what the learning rate of lower layers is multiplied by. Google's code has
            0.1; 0 freezes them.
        next_sentence: Whether it is asked which sentence comes next.

    `auxiliary` and `none` have one stage of `transfer_steps + distillation_steps`, so that all strategies cost alike.

    Raises UsageError for an unknown strategy, or fewer steps of transfer than layers.
    """
    if strategy not in STRATEGIES:
        raise UsageError(f"strategy is {strategy!r}; expected one of {', '.join(STRATEGIES)}")
    stages = _stages(strategy, layers, transfer_steps, distillation_steps, lower_rate)
    return [replace(stage, next_sentence=next_sentence) for stage in stages]


def _stages(strategy: str, layers: int, transfer_steps: int, distillation_steps: int, lower_rate: float) -> list[Stage]:
    every = tuple(range(layers))
    together = transfer_steps + distillation_steps
    if strategy == "none":
        return [Stage("pre-training", together, (), True, False, None, 0.0, layers)]
    if strategy == "auxiliary":
        return [Stage("auxiliary transfer", together, every, True, True, None, 0.0, layers)]
    distillation = [Stage("distillation", distillation_steps, (), True, True, None, 0.0, layers)]
    if not distillation_steps:
        distillation = []
    if strategy == "joint":
        transfer = [Stage("joint transfer", transfer_steps, every, False, True, 0, 0.0, layers)]
        return [*(transfer if transfer_steps else []), *distillation]
    if transfer_steps < layers:
        raise UsageError(
            f"transfer_steps is {transfer_steps}, but progressive transfer has a stage for each of {layers} layers; "
            f"give {layers} or more"
        )
    # Equal shares; what does not divide goes to the first layers, on which all others stand.
    share, rest = divmod(transfer_steps, layers)
    digits = len(str(layers))
    progressive = [
        Stage(
            name=f"layer {layer + 1:0{digits}}",
            steps=share + (layer < rest),
            layers=(layer,),
            predicts=False,
            teaches=True,
            lowest=layer,
            lower_rate=lower_rate,
            depth=layer + 1,
        )
        for layer in every
    ]
    return [*progressive, *distillation]
