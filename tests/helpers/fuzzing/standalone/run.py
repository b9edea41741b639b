"""Program that fuzzes the standalone runtime, guided by coverage: `make fuzz-standalone COUNT=1000000 SEED=1`.

Each worker has a seed and files of its own, so that with the same seed, count and sources it does the same again.
A file with a finding is kept in `findings`, and ends its worker; `build/fuzzing/standalone/bits-64/fuzz FILE`
repeats it. The exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[4]
# Seconds that one file may take, MB of memory of the whole program, and bytes of the largest file.
LONGEST_S, MOST_MB, LARGEST = 10, 2048, 32768
OPTIONS = (
    *(f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MB}", f"-max_len={LARGEST}"),
    *("-len_control=0", "-mutate_depth=3", "-reload=0", "-print_final_stats=1"),
)
# Leaks need not be searched: the target compares the runtime's count of its memory after each file. Where memory was
# allocated is not recorded, which takes a fifth of the time; the program that repeats a finding does.
SANITIZERS = "allocator_may_return_null=1:detect_leaks=0:malloc_context_size=0:quarantine_size_mb=16"
LINE_SECONDS = 30

# Lines of libFuzzer, of the target and of the sanitizers.
PROGRESS = re.compile(r"^#(\d+)\s.* cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)
EXECUTED = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)
EDGES = re.compile(r"\((\d+) inline 8-bit counters")
FINDING = re.compile(r"^(?:FINDING: |.*runtime error: |==\d+==ERROR: |==\d+== ERROR: ).*", re.MULTILINE)
TRIALS = re.compile(r"^trials: .*", re.MULTILINE)


class Worker:
    """One process of libFuzzer.

    Args:
        program: What `build_target` made.
        seeds: Folder of the files to begin with.
        folder: Folder for files that reach something new, the worker's output, and findings.
        seed: What its mutations follow from.
        count: Number of files.
    """

    def __init__(self, program: Path, seeds: Path, folder: Path, seed: int, count: int) -> None:
        corpus, findings = folder / f"corpus-{seed}", folder / "findings"
        shutil.rmtree(corpus, ignore_errors=True)
        for made in (corpus, findings):
            made.mkdir(parents=True, exist_ok=True)
        self.seed, self._log = seed, folder / f"worker-{seed}.log"
        arguments: list[str | Path] = [program, corpus, seeds, f"-seed={seed}", f"-runs={count}", *OPTIONS]
        arguments += [f"-dict={program.parent / 'words.dict'}", f"-artifact_prefix={findings}/{seed}-"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                arguments, stdout=log, stderr=log, env={**os.environ, "ASAN_OPTIONS": SANITIZERS}
            )

    def runs(self) -> int:
        """Returns the number of files so far."""
        text = self._log.read_text(errors="replace")
        return max([0, *(int(found[0]) for found in PROGRESS.findall(text)), *map(int, EXECUTED.findall(text))])

    def __str__(self) -> str:
        text = self._log.read_text(errors="replace")
        edges, progress = EDGES.findall(text), PROGRESS.findall(text)
        _, covered, features, files = map(int, progress[-1] if progress else (0, 0, 0, 0))
        line = (
            f"seed {self.seed}: {self.runs():,} runs, {covered:,} of {int(edges[0]) if edges else 0:,} edges, "
            f"{features:,} features, {files:,} files that reach something new"
        )
        return "\n  ".join([line, *TRIALS.findall(text), *FINDING.findall(text)])


def campaign(program: Path, seeds: Path, folder: Path, *, seed: int, count: int, workers: int) -> int:
    """Runs workers, prints a line for each, and returns how many ended with a finding."""
    started, printed = time.monotonic(), 0.0
    share = -(-count // workers)
    running = [Worker(program, seeds, folder, seed + i, share) for i in range(workers)]
    while any(worker.process.poll() is None for worker in running):
        time.sleep(0.2)
        seconds = time.monotonic() - started
        if seconds - printed >= LINE_SECONDS:
            printed = seconds
            print(f"{sum(worker.runs() for worker in running):,} runs, {seconds:.0f} s", flush=True)
    failed = sum(worker.process.returncode != 0 for worker in running)
    total = sum(worker.runs() for worker in running)
    print(*running, f"{total:,} runs, {failed} findings, {time.monotonic() - started:.0f} s", sep="\n", flush=True)
    return failed


def main() -> int:
    """Builds the program and its seeds, and runs the campaign; returns the exit code."""
    from graphs.kernels.building.compiler import BuildError
    from tests.helpers.fuzzing.standalone.building import BITS, NoFuzzerError, build_target
    from tests.helpers.fuzzing.standalone.seeds import write_seeds

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="files in total, divided among the workers")
    parser.add_argument("--seed", type=int, default=1, help="of the first worker; each other one has the next number")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bits", type=int, choices=sorted(BITS), default=64, help="of a pointer; WebAssembly has 32")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/fuzzing/standalone")
    options = parser.parse_args()
    try:
        program = build_target(options.folder / f"bits-{options.bits}", bits=options.bits)
    except (NoFuzzerError, BuildError) as error:
        print(f"fuzz-standalone: {error}", file=sys.stderr)
        return 1
    seeds = options.folder / "seeds"
    if not seeds.exists():  # made once: exports take minutes
        partial = seeds.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_seeds(partial, LARGEST)
        partial.rename(seeds)
    failed = campaign(
        program, seeds, options.folder, seed=options.seed, count=options.count, workers=max(options.workers, 1)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    # Helpers of other tests are top-level modules, as in pytest.
    sys.path.extend(str(ROOT / "tests/helpers" / name) for name in ("checkpoints", "onnx_graphs"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.exit(main())
