"""Training strategies of section 3.5, each as a list of stages.

`progressive`: one stage per layer, in order, with the layers below frozen or trained at a lower rate; then pre-training
distillation.
`joint`: one stage for the transfer of all layers; then pre-training distillation.
`auxiliary`: one stage with layer transfer as an auxiliary loss of pre-training distillation.
`none`: pre-training without a teacher, the baseline.
`shorten`: one stage for the transfer of the last layer of a student that has the teacher's own layers; then
distillation.

Where only some layers are compared with the teacher's, progressive transfer has a stage for each of those, which trains
the layers since the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mbert_onnx.errors import UsageError
from mbert_onnx.training.distillation.layer_pairs import VECTORS

STRATEGIES = ("progressive", "joint", "auxiliary", "none", "shorten")


@dataclass(frozen=True)
class Stage:
    """A stage of a training.

    Args:
        name: Name in progress and curves.
        steps: Number of optimizer steps.
        layers: Layers, from 0, whose feature maps and attention maps are compared with the teacher's.
        predicts: Whether the loss includes the student's task: masked words and next sentences, or sentence vectors.
        teaches: Whether there is a teacher.
        lowest: First layer that is trained at the full learning rate, `BELOW` for the embeddings; None if all
            parameters are, with embeddings and heads.
        lower_rate: Factor of the learning rate below `lowest`; 0 freezes those layers.
        depth: Number of layers that are computed; layers above the last compared one are skipped.
        next_sentence: Whether next-sentence prediction is trained; else its pooler and head are frozen.
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
        """Returns the factor of a parameter's learning rate, given its name in the stage's module."""
        if parameter.startswith(f"{WIDTH_MAPS}."):
            key = parameter.split(".")[1]
            return float(self.predicts if key == VECTORS else int(key) in self.layers)
        if not self.next_sentence and _is_of_next_sentence(parameter):
            return 0.0
        if self.lowest is None:
            return 1.0
        layer = layer_of(parameter)
        if layer < self.lowest:
            return self.lower_rate
        return 1.0 if layer < self.depth else 0.0


# Name of the linear maps to the teacher's width in a stage's module.
WIDTH_MAPS = "width_maps"

# Layer numbers of the embeddings, and of the pooler and the heads.
BELOW, ABOVE = -1, 2**31


def layer_of(parameter: str) -> int:
    """Returns the layer with which a parameter is trained: its number in the encoder, `BELOW` or `ABOVE`.

    The embeddings' normalization is trained with the first layer, because NoNorm cannot be a copy of the teacher's
    layer normalization, as the other embeddings can.
    """
    parts = parameter.split(".")
    if "encoder" in parts:
        return int(parts[parts.index("layer") + 1])
    if "embeddings" in parts:
        return 0 if "LayerNorm" in parts else BELOW
    return ABOVE


def _is_of_next_sentence(parameter: str) -> bool:
    """True if a parameter is used for next-sentence prediction only: the pooler and its head."""
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
    compared: Sequence[int] | None = None,
    trains_embeddings: bool = False,
) -> list[Stage]:
    """Returns the stages of a strategy.

    Args:
        strategy: A name in `STRATEGIES`.
        layers: Number of layers of the student.
        transfer_steps: Steps of layer transfer; progressive transfer divides them among the layers.
        distillation_steps: Steps of pre-training distillation.
        lower_rate: Factor of the learning rate of lower layers in progressive transfer. Google's code uses 0.1; 0
            freezes them.
        next_sentence: Whether next-sentence prediction is trained.
        compared: Layers of the student that are compared with the teacher's, from 0, in order; default: all.
        trains_embeddings: Whether the first stage of layer transfer trains the embeddings, which are not copies of the
            teacher's.

    `auxiliary` and `none` have one stage of `transfer_steps + distillation_steps`, so that all strategies have the same
    number of steps.

    Raises UsageError for an unknown strategy, or fewer transfer steps than layers.
    """
    if strategy not in STRATEGIES:
        raise UsageError(f"strategy is {strategy!r}; expected one of {', '.join(STRATEGIES)}")
    every = tuple(range(layers) if compared is None else compared)
    if strategy == "shorten":
        every = every[-1:]
    lowest = BELOW if trains_embeddings else 0
    stages = _stages(strategy, layers, every, transfer_steps, distillation_steps, lowest, lower_rate)
    return [replace(stage, next_sentence=next_sentence) for stage in stages]


def _stages(
    strategy: str,
    layers: int,
    compared: tuple[int, ...],
    transfer_steps: int,
    distillation_steps: int,
    lowest: int,
    lower_rate: float,
) -> list[Stage]:
    together = transfer_steps + distillation_steps
    if strategy == "none":
        return [Stage("pre-training", together, (), True, False, None, 0.0, layers)]
    if strategy == "auxiliary":
        return [Stage("auxiliary transfer", together, compared, True, True, None, 0.0, layers)]
    distillation = [Stage("distillation", distillation_steps, (), True, True, None, 0.0, layers)]
    if not distillation_steps:
        distillation = []
    if strategy in ("joint", "shorten"):
        name = "joint transfer" if strategy == "joint" else "transfer"
        transfer = [Stage(name, transfer_steps, compared, False, True, lowest, 0.0, compared[-1] + 1)]
        return [*(transfer if transfer_steps else []), *distillation]
    if transfer_steps < len(compared):
        raise UsageError(
            f"transfer_steps is {transfer_steps}, but progressive transfer has a stage for each of {len(compared)} "
            f"layers; give {len(compared)} or more"
        )
    # Equal shares; the remainder goes to the first layers, since all others depend on them.
    share, remainder = divmod(transfer_steps, len(compared))
    digits = len(str(layers))
    progressive = []
    for place, layer in enumerate(compared):
        progressive.append(
            Stage(
                name=f"layer {layer + 1:0{digits}}",
                steps=share + (place < remainder),
                layers=(layer,),
                predicts=False,
                teaches=True,
                lowest=lowest,
                lower_rate=lower_rate,
                depth=layer + 1,
            )
        )
        lowest = layer + 1
    return [*progressive, *distillation]
