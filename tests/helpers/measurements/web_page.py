"""Measures web apps in Chromium: the time from the last byte of the model to the first answer, and the tab's memory.

python tests/helpers/measurements/web_page.py FOLDER [ROUNDS]

`make bench-web-page` runs it. The model is full-size, int8, with random weights; one app runs it in mbert-onnx-web,
and one in onnxruntime-web. Each visit is in a new profile, so that nothing is cached or compiled.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mbert_onnx
from mbert_onnx.runtime.web.app.page_runtime import RUNTIMES
from mbert_onnx.runtime.web.app.writing import write_app
from mbert_onnx.text.tasks import QUESTION_ANSWERING

PROGRAM = Path(__file__).with_suffix(".mjs")
MODULES = Path(__file__).parents[3] / "examples" / "web" / "node_modules"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ROUNDS = 7
QUOTIENTS = {"time after the model": "afterModel", "peak memory": "peak", "without what files back": "own"}


def main(folder: str, rounds: int = ROUNDS) -> int:
    """Runs the command line."""
    root = Path(folder)
    bundle = root / "bundle"
    if not bundle.exists():
        mbert_onnx.export("random", bundle, task=QUESTION_ANSWERING.name, precision="int8", text=True)
    apps = {}
    for runtime in RUNTIMES:
        package = MODULES / "onnxruntime-web" if runtime == "onnxruntime" else None
        report = write_app(bundle, root / runtime, runtime=runtime, onnxruntime_web=package, overwrite=True)
        apps[report.runtime] = report.output
    print("\n".join(lines(measure(apps, rounds))))
    return 0


def measure(apps: Mapping[str, Path], rounds: int) -> dict[str, Any]:
    """Returns what the program prints for apps by name."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        sys.exit(f"web_page: expected one of the browsers {', '.join(BROWSERS)}; install it")
    given = {"modules": str(MODULES), "chromium": chromium, "rounds": rounds}
    asked = json.dumps({**given, "apps": {name: str(path.resolve()) for name, path in apps.items()}})
    done = subprocess.run(["node", PROGRAM], input=asked, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(visits: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Returns a report: medians, and the quotients of the second app by the first one, of each round."""
    median = {
        name: {key: float(np.median([one[key] for one in found])) for key in found[0] if key != "answer"}
        for name, found in visits.items()
    }
    empty = median.pop("empty")
    printed = [
        f"{len(visits['empty'])} visits of each; an empty tab has a peak of {empty['peak'] / 1e6:.0f} MB, "
        f"{empty['own'] / 1e6:.0f} MB without what files back"
    ]
    for name, one in median.items():
        printed.append(
            f"{name}: answer {one['afterModel']:.0f} ms after the model's last byte, {one['afterStart']:.0f} ms after "
            f"the start of the page; peak memory {one['peak'] / 1e6:.0f} MB, {one['own'] / 1e6:.0f} MB without what "
            "files back"
        )
    ours, theirs = (visits[name] for name in median)
    for what, key in QUOTIENTS.items():
        found = [other[key] / one[key] for one, other in zip(ours, theirs, strict=True)]
        low, middle, high = np.percentile(found, [25, 50, 75])
        printed.append(f"{what}: {middle:.2f} times (quartiles {low:.2f} to {high:.2f})")
    if {visit["answer"] for visit in ours} != {visit["answer"] for visit in theirs}:
        printed.append("the answers differ")
    return printed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:3])))
