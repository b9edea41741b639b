"""Digests of what `tokenizers` returns for all code points, kept in the user's cache by tokenizer."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from pathlib import Path

from mbert_onnx.bundles.atomic import atomic_file
from mbert_onnx.conversion.verification.tokens.code_points import BLOCK, SURROUNDINGS
from mbert_onnx.conversion.verification.tokens.reference import Reference
from mbert_onnx.errors import BundleError, MbertError
from mbert_onnx.errors.requirements import require_beside

# Part of each key: raise it when the same tokenizer gets other digests.
VERSION = 1
# Tokenizers that are kept; each takes 20 kB.
KEPT = 32


class DigestCache:
    """The digests of one tokenizer in the user's cache. Where that cannot be read or written, there are none.

    `count` is the number of digests.
    """

    def __init__(self, reference: Reference, count: int) -> None:
        self._count = count
        parts = (str(VERSION), str(BLOCK), str(count), *SURROUNDINGS, reference.identity)
        self._key = hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()

    def read(self) -> list[str] | None:
        """Returns the digests; None where there are none, or the file is damaged."""
        try:
            content = json.loads((self._folder() / f"{self._key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, MbertError):
            return None
        found = content.get("digests") if isinstance(content, dict) else None
        if not isinstance(found, list) or len(found) != self._count or not all(isinstance(one, str) for one in found):
            return None
        return found

    def write(self, digests: list[str]) -> None:
        """Keeps digests, and deletes those of tokenizers that were checked long ago."""
        try:
            folder = self._folder()
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(folder / f"{self._key}.json", BundleError) as partial:
                partial.write_text(json.dumps({"digests": digests}), encoding="utf-8")
            _remove_old(folder)
        except (OSError, MbertError) as error:  # the check has passed, and is only slower the next time
            logging.getLogger("mbert_onnx").info("the expected tokens are not kept: %s", error)

    def _folder(self) -> Path:
        require_beside("perf")
        from perf.errors import PerfError
        from perf.sessions.environments import cache_folder

        try:
            return cache_folder() / "tokenizers"
        except PerfError as error:
            raise MbertError(str(error)) from error


def _remove_old(folder: Path) -> None:
    found = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found[KEPT:]:
        with contextlib.suppress(OSError):
            path.unlink()
