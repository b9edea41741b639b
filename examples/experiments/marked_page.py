"""Pages of the documentation whose tables are written by the experiments, between two comments."""

from __future__ import annotations

import re
from pathlib import Path


def write_between_marks(page: Path, name: str, text: str) -> None:
    """Replaces what is between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises ValueError for a page without these comments.
    """
    content = page.read_text(encoding="utf-8")
    marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    if len(marked.findall(content)) != 1:
        raise ValueError(f"{page} does not have the two {name} comments; expected each of them once")
    page.write_text(marked.sub(lambda marks: f"{marks[1]}{text}{marks[2]}", content), encoding="utf-8")
