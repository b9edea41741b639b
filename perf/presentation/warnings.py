"""Warnings of a benchmark: each names a reason to doubt a measurement, and the option or action that removes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from perf.machine.machine import Machine
from perf.results.report import AnyCell, Arguments, RaggedModel, SubjectReport
from perf.statistics import FEWEST
from perf.timing.disturbance.causes import SPEED_CHECK, SPREAD, STEAL
from perf.timing.disturbance.speed_check import MOVED
from perf.timing.warmup import STEADY

BUSY = 0.5
"""Load average, as a share of the cores, above which other programs are using them."""

TAKEN = 0.1
"""Largest share of the cores that other programs may use while models are timed."""

ANOTHER = 0.01
"""Centred error above which outputs differ by more than float32 rounding, which stays below 1e-4."""

FEW = 20
"""Fewest runs for percentiles: with fewer, p90 is the slowest or second slowest run."""

REMEDIES = {
    STEAL: "use a machine whose processors are not shared with others",
    SPEED_CHECK: "fix the processor's frequency and end other programs",
    SPREAD: "end other programs",
}
"""Remedy of each cause of disturbed repetitions."""

LOST = 1.0
"""The centred error of constant outputs."""


def find_warnings(
    machine: Machine,
    arguments: Arguments,
    other_cores: float,
    cells: Sequence[AnyCell],
    subjects: Sequence[SubjectReport] = (),
    speed_check_ms: Sequence[float] = (),
    *,
    interrupted: bool = False,
    ragged_models: Sequence[RaggedModel] = (),
) -> list[str]:
    """Returns the warnings, ordered by cause: models, threads, machine, other programs, disturbances, warm-up,
    intervals."""
    models = [*_broken(subjects), *_different(subjects), *_padding(subjects), *_lost(subjects)]
    models += _ragged(subjects, ragged_models)
    found = [
        *_cut_short(cells, interrupted),
        *models,
        *_threads(machine, arguments),
        *_speed(machine, speed_check_ms),
        *_load(machine),
    ]
    return [
        text
        for text in (
            *found,
            _others(machine, other_cores),
            _disturbed(cells),
            _unsteady(cells),
            _few(cells),
            _unstable(arguments, cells),
        )
        if text
    ]


def _broken(subjects: Sequence[SubjectReport]) -> list[str]:
    return [
        f"{subject.name} is not usable: {non_finite_text(subject.non_finite)}; disregard its times, and time a model "
        "whose outputs are finite"
        for subject in subjects
        if subject.non_finite
    ]


def non_finite_text(found: Mapping[str, Sequence[int]]) -> str:
    """Returns which outputs are NaN or infinite, and at which lengths."""
    names: dict[tuple[int, ...], list[str]] = {}
    for name, lengths in found.items():
        names.setdefault(tuple(lengths), []).append(name)
    return ", ".join(
        f"its {'outputs' if len(same) > 1 else 'output'} {', '.join(same)} {'are' if len(same) > 1 else 'is'} NaN or "
        f"infinite at {', '.join(map(str, lengths))} tokens"
        for lengths, same in names.items()
    )


def _comparable(subjects: Sequence[SubjectReport]) -> Sequence[SubjectReport]:
    """Returns the models whose distance from the first says something: neither of the two is broken."""
    return [] if not subjects or subjects[0].non_finite else [one for one in subjects if not one.non_finite]


def _different(subjects: Sequence[SubjectReport]) -> list[str]:
    """Returns one line for all models, since a report may have many at lower precision."""
    far = [one for one in _comparable(subjects) if one.difference is not None and not one.difference <= ANOTHER]
    first, advice = subjects[0].name if subjects else "", "compare models with equal outputs, or accept the loss"
    if len(far) == 1:
        return [
            f"the outputs of {far[0].name} differ from those of {first}: centred error {far[0].difference:.2g}; "
            f"{advice}"
        ]
    if not far:
        return []
    errors = ", ".join(f"{one.name} {one.difference:.2g}" for one in far)
    return [f"the outputs of {len(far)} models differ from those of {first}: centred error of {errors}; {advice}"]


def _padding(subjects: Sequence[SubjectReport]) -> list[str]:
    return [
        f"{subject.name} handles padding differently from {subjects[0].name}: on texts half of which are padding, its "
        f"outputs for the other half have the centred error {subject.padded_difference:.2g}; give it texts without "
        "padding, or use a model that takes an attention_mask"
        for subject in _comparable(subjects)
        if subject.difference is not None and subject.difference <= ANOTHER
        if subject.padded_difference is not None and not subject.padded_difference <= ANOTHER
    ]


def _ragged(subjects: Sequence[SubjectReport], models: Sequence[RaggedModel]) -> list[str]:
    """Returns models that break or differ on the ragged batch only."""
    broken = {subject.name for subject in subjects if subject.non_finite}
    alike = {one.name for one in _comparable(subjects) if one.difference is not None and one.difference <= ANOTHER}
    return [
        f"{model.name} is not usable: its outputs {', '.join(model.non_finite)} are NaN or infinite on the ragged "
        "batch; disregard its times there, and time a model whose outputs are finite"
        for model in models
        if model.non_finite and model.name not in broken
    ] + [
        f"{model.name} handles a ragged batch differently from {subjects[0].name}: its outputs there have the centred "
        f"error {model.difference:.2g}; give it texts of one length"
        for model in models
        if model.difference is not None and not model.difference <= ANOTHER
        if model.name in alike and not model.non_finite
    ]


def _cut_short(cells: Sequence[AnyCell], interrupted: bool) -> list[str]:
    if not interrupted:
        return []
    done = [len(cell.rounds) for cell in cells]
    if min(done) == FEWEST:
        return ["interrupted after all models were timed: the peaks and the time by block were not measured"]
    return [
        f"interrupted: of {FEWEST} repetitions, {min(done)} to {max(done)} were done, and ratios need all of them; "
        "the medians are of the runs so far"
    ]


def _few(cells: Sequence[AnyCell]) -> str | None:
    found = [(item.runs, cell, item) for cell in cells for item in cell.measurements if item.runs < FEW]
    if not found:
        return None
    runs, cell, item = min(found, key=lambda entry: entry[0])
    return (
        f"too few runs for percentiles in {_share(found, cells)}, the fewest {item.subject} at {cell.place} "
        f"({runs}): p90 and p99 are the slowest or second slowest run; pass a longer --budget"
    )


def _lost(subjects: Sequence[SubjectReport]) -> list[str]:
    return [
        f"{subject.name} is not usable: its centred error from its float model is {subject.error:.2g}, and constant "
        f"outputs have {LOST:.0f}; disregard its times"
        for subject in subjects
        if subject.error is not None and not subject.error < LOST and not subject.non_finite
    ]


def _threads(machine: Machine, arguments: Arguments) -> list[str]:
    cores = machine.available_cores
    return [
        f"{count} threads share {cores} available cores and wait for each other; pass --threads {cores} or fewer"
        for count in arguments.threads
        if count > cores
    ]


def _speed(machine: Machine, speed_check_ms: Sequence[float]) -> list[str]:
    found = []
    if machine.is_emulated:
        found.append(
            f"this {machine.architecture} machine is emulated: its times are meaningless, and only the outputs of the "
            "models are valid; time them on a real one"
        )
    if machine.governor not in (None, "performance"):
        found.append(
            f"the governor {machine.governor!r} changes the processor's frequency; choose performance "
            "(cpupower frequency-set -g performance), and repeat"
        )
    if speed_check_ms and max(speed_check_ms) > (1 + MOVED) * min(speed_check_ms):
        found.append(
            f"the machine's speed changed while the models were timed: a fixed task took {min(speed_check_ms):.2f} to "
            f"{max(speed_check_ms):.2f} ms; trust ratios, not milliseconds, or fix the frequency, end other programs, "
            "and repeat"
        )
    return found


def _load(machine: Machine) -> list[str]:
    cores = machine.logical_cores or machine.available_cores
    if not machine.load_average or machine.load_average[0] <= BUSY * cores:
        return []
    return [
        f"the load average was {machine.load_average[0]} on {cores} cores at the start, so other programs were "
        "using them; wait until they have ended, and repeat"
    ]


def _others(machine: Machine, other_cores: float) -> str | None:
    cores = machine.logical_cores or machine.available_cores
    if other_cores <= TAKEN * cores:
        return None
    return (
        f"other programs used {other_cores:.1f} of {cores} cores while the models were timed, which slows runs "
        "with many threads most; end them and repeat, or pass --threads 1"
    )


def _disturbed(cells: Sequence[AnyCell]) -> str | None:
    """Returns how many repetitions stayed disturbed, by what, and what removes these causes."""
    found = [cell for cell in cells if cell.disturbed]
    if not found:
        return None
    worst = max(found, key=lambda cell: sum(cell.disturbed.values()))
    total = sum((Counter(cell.disturbed) for cell in found), Counter[str]())
    advice = ", and ".join(dict.fromkeys(REMEDIES[cause] for cause in total))
    return (
        f"{total.total()} of {sum(len(cell.rounds) for cell in cells)} repetitions remain disturbed "
        f"({counted(total)}), the most at {worst.place} ({sum(worst.disturbed.values())} of {len(worst.rounds)}); "
        f"{advice}, and repeat"
    )


def counted(causes: Mapping[str, int]) -> str:
    """Returns "steal time 2, spread 1"."""
    return ", ".join(f"{cause} {number}" for cause, number in causes.items())


def _unsteady(cells: Sequence[AnyCell]) -> str | None:
    found = [
        (item.unsteady_repetitions, cell, item)
        for cell in cells
        for item in cell.measurements
        if item.unsteady_repetitions > len(cell.rounds) / 2
    ]
    if not found:
        return None
    count, cell, item = max(found, key=lambda entry: entry[0])
    return (
        f"warm-up ended in {_share(found, cells)} while times still changed by over {STEADY:.0%} in most repetitions, "
        f"the most in {item.subject} at {cell.place} ({count} of {len(cell.rounds)} repetitions); "
        "end other programs, or pass a longer --budget"
    )


def _unstable(arguments: Arguments, cells: Sequence[AnyCell]) -> str | None:
    found = [(item.relative_half_width, cell, item) for cell in cells for item in cell.measurements if not item.stable]
    if not found:
        return None
    width, cell, item = max(found, key=lambda entry: entry[0])
    return (
        f"unstable: {_share(found, cells)} have a wider interval than the requested ±{arguments.precision:.1%}, the "
        f"widest {item.subject} at {cell.place}, ±{width:.1%} after {item.runs} runs; "
        "end other programs, pass a longer --budget, or a wider --precision"
    )


def _share(found: Sequence[object], cells: Sequence[AnyCell]) -> str:
    return f"{len(found)} of {sum(len(cell.measurements) for cell in cells)} medians"
