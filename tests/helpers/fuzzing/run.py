"""Program that fuzzes the readers: `python -m tests.helpers.fuzzing.run --seed N --inputs N [READER ...]`.

Each input follows from the reader's name, the seed and its number, so that `--first NUMBER --inputs 1` repeats one.
Inputs that fail are kept in the folder of `--keep`; the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

# Largest address space: a small file that makes a reader ask for more is a fault.
MOST_BYTES = 16 * 2**30


def main() -> int:
    """Runs the campaigns and prints a line for each; returns the exit code."""
    from tests.helpers.fuzzing.campaign import campaign
    from tests.helpers.fuzzing.readers import READERS

    names = {reader.name: reader for reader in READERS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"default: all; {', '.join(names)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=1000, help="in total, divided among the readers by their weights")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzzing"))
    options = parser.parse_args()
    chosen = [names[name] for name in options.readers or names]
    total = sum(reader.weight for reader in chosen)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    faulthandler.enable(os.dup(2))  # a campaign reads what is printed on standard error
    failed, done, started = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as work:
        os.environ["MPLCONFIGDIR"] = work  # matplotlib's cache
        for reader in chosen:
            began, cpu = time.monotonic(), time.process_time()
            result = campaign(
                reader,
                seed=options.seed,
                inputs=max(round(options.inputs * reader.weight / total), 1),
                work=Path(work) / reader.name,
                first=options.first,
                keep=options.keep,
            )
            failed, done = failed + sum(result.failures.values()), done + result.inputs
            print(
                f"{result}\n  in {time.monotonic() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU", flush=True
            )
            for path in result.kept:
                print(f"  kept {path}", flush=True)
    print(f"seed {options.seed}: {done:,} inputs, {failed:,} failures, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    # Helpers of other tests are top-level modules, as in pytest.
    sys.path.append(str(Path(__file__).parents[1] / "measurements"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.exit(main())
