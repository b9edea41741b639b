"""Scores that the paper reports, for comparison: Sun et al. 2020, tables 4 and 5, in percent.

GLUE scores are test scores of the benchmark's server; SQuAD scores are of the development set. The second score of MNLI
is of the mismatched set.
"""

from __future__ import annotations

# By model, then by task.
GLUE_TEST: dict[str, dict[str, tuple[float, ...]]] = {
    "BERT_BASE": {
        "cola": (52.1,),
        "sst2": (93.5,),
        "mrpc": (88.9,),
        "stsb": (85.8,),
        "qqp": (71.2,),
        "mnli": (84.6, 83.4),
        "qnli": (90.5,),
        "rte": (66.4,),
    },
    "MobileBERT_TINY": {
        "cola": (46.7,),
        "sst2": (91.7,),
        "mrpc": (87.9,),
        "stsb": (80.1,),
        "qqp": (68.9,),
        "mnli": (81.5, 81.6),
        "qnli": (89.5,),
        "rte": (65.1,),
    },
    "MobileBERT": {
        "cola": (50.5,),
        "sst2": (92.8,),
        "mrpc": (88.8,),
        "stsb": (84.4,),
        "qqp": (70.2,),
        "mnli": (83.3, 82.6),
        "qnli": (90.6,),
        "rte": (66.2,),
    },
    "MobileBERT without operational optimizations": {
        "cola": (51.1,),
        "sst2": (92.6,),
        "mrpc": (88.8,),
        "stsb": (84.8,),
        "qqp": (70.5,),
        "mnli": (84.3, 83.4),
        "qnli": (91.6,),
        "rte": (70.4,),
    },
}

# Exact match and F1 for SQuAD 1.1 and 2.0.
SQUAD_DEV: dict[str, dict[str, tuple[float, float]]] = {
    "MobileBERT_TINY": {"squad": (81.4, 88.6), "squad_v2": (74.4, 77.1)},
    "MobileBERT": {"squad": (82.9, 90.0), "squad_v2": (76.2, 79.2)},
    "MobileBERT without operational optimizations": {"squad": (83.4, 90.3), "squad_v2": (77.6, 80.2)},
}


def published(task: str) -> dict[str, tuple[float, ...]]:
    """Returns the paper's scores of a task by model; empty if it reports none (WNLI)."""
    found: dict[str, tuple[float, ...]] = {model: table[task] for model, table in GLUE_TEST.items() if task in table}
    return found | {model: table[task] for model, table in SQUAD_DEV.items() if task in table}
