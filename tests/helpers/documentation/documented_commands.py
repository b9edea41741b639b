"""The command blocks of the documentation: their parts, their execution, and a rewrite of their printed output.

`make docs-outputs` runs this file: every block of README.md and docs/getting-started.md is executed, and the outputs in
the pages are replaced.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "README.md", ROOT / "docs" / "getting-started.md")
"""The pages whose command blocks are executed."""

# Commands that a test must not run, each with its reason.
EXEMPT = {
    r"pip install ": "installs from an index",
    r"git clone ": "needs a network",
    r"make (demo|test|bench-readme)\b": "builds an environment, or takes minutes; the targets run these commands",
}

# Terminal width of the printed outputs.
COLUMNS = "100"

FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ "


@dataclass
class Step:
    """One command of a `console` block with the output printed below it, or a whole `bash` or `python` block."""

    language: str
    command: str
    expected: list[str] | None = None
    printed: list[str] = field(default_factory=list)

    @property
    def exempt(self) -> bool:
        return self.language != "python" and any(re.search(pattern, self.command) for pattern in EXEMPT)

    def __str__(self) -> str:
        return self.command.strip().splitlines()[0]


def blocks(text: str) -> Iterator[tuple[re.Match[str], list[Step]]]:
    """Yields each fenced block of commands in a page, with its steps."""
    for match in FENCE.finditer(text):
        language, body = match["language"], match["body"]
        if language == "console":
            yield match, _console(body)
        elif language == "bash":
            yield match, [Step(language, line) for line in body.splitlines() if line and not line.startswith("#")]
        elif language == "python":
            yield match, [Step(language, body)]


def _console(body: str) -> list[Step]:
    steps: list[Step] = []
    for line in body.splitlines():
        if line.startswith(PROMPT):
            steps.append(Step("console", line.removeprefix(PROMPT), expected=[]))
        elif steps and steps[-1].expected is not None:
            steps[-1].expected.append(line)
    return steps


def run(step: Step, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a step in `folder` with this interpreter's programs and this repository's code first."""
    environment = {
        **os.environ,
        "COLUMNS": COLUMNS,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    program = [sys.executable] if step.language == "python" else ["bash", "-o", "pipefail"]
    result = subprocess.run([*program, "-c", step.command], cwd=folder, env=environment, capture_output=True, text=True)
    step.printed = [line.rstrip() for line in result.stdout.rstrip().splitlines()]
    return result


def rewrite(page: Path) -> None:
    """Runs all blocks of a page in order and replaces the printed outputs."""
    text = page.read_text(encoding="utf-8")
    pieces, end = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for match, steps in blocks(text):
            for step in steps:
                if not step.exempt and (result := run(step, Path(folder))).returncode != 0:
                    raise SystemExit(f"{page}: {step}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
            pieces.append(text[end : match.start()])
            end = match.end()
            pieces.append(match[0] if match["language"] != "console" else _printed(steps))
    page.write_text("".join(pieces) + text[end:], encoding="utf-8")


def _printed(steps: list[Step]) -> str:
    lines = ["```console"]
    for step in steps:
        lines += [PROMPT + step.command, *(step.expected or [] if step.exempt else step.printed)]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
