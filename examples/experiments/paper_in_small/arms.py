"""Arms of the experiment, and the claims of the paper about them (Sun et al. 2020, sections 3.5 and 4.6)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arm:
    """One way to train the student.

    Args:
        title: Name in tables.
        strategy: `transfer.strategy` of the recipe.
        feature_maps, attention: Weights of the two objectives of layer transfer.
    """

    title: str
    strategy: str
    feature_maps: int = 1
    attention: int = 1


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: the student of one arm is better than that of another.

    Args:
        text: The claim.
        better, worse: Names of the arms.
    """

    text: str
    better: str
    worse: str


ARMS = {
    "none": Arm("no teacher", "none"),
    "progressive": Arm("progressive", "progressive"),
    "joint": Arm("joint", "joint"),
    "auxiliary": Arm("auxiliary", "auxiliary"),
    "feature-maps": Arm("progressive, feature maps only", "progressive", attention=0),
    "attention": Arm("progressive, attention only", "progressive", feature_maps=0),
}

CLAIMS = (
    Claim("transfer is better than none", "progressive", "none"),
    Claim("progressive is better than joint", "progressive", "joint"),
    Claim("progressive is better than auxiliary", "progressive", "auxiliary"),
    Claim("joint is better than auxiliary", "joint", "auxiliary"),
    Claim("both objectives are better than feature maps alone", "progressive", "feature-maps"),
    Claim("both objectives are better than attention alone", "progressive", "attention"),
    Claim("feature maps give more than attention", "feature-maps", "attention"),
)
