"""The peak memory of `mbert-onnx predict` over many rows: `make predict-memory`.

python tests/helpers/measurements/predict_memory.py FOLDER [ROWS [WORKERS]]

writes a CSV of ROWS short texts (10,000,000) and a random model of one layer into FOLDER, answers all rows, and prints
the peak of the memory of all processes together, as they have it (PSS: what they share counts once), and the number of
rows that were written. Memory must not grow with the file.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from text_encoders import WORDS, word_encoder

ROWS = 10_000_000
# Texts that are repeated, so that writing the input takes seconds.
DISTINCT = 1_000
# Seconds between two looks at the memory.
INTERVAL = 0.5


def main(folder: str, rows: str = str(ROWS), workers: str = "2") -> int:
    """Runs the command line."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    bundle, source, output = place / "bundle", place / f"texts-{rows}.csv", place / f"answers-{rows}.csv"
    if not bundle.exists():
        _write_bundle(bundle)
    if not source.exists():
        _write_texts(source, int(rows))
    since = time.monotonic()
    command = ["predict", str(bundle), str(source), "-o", str(output), "--workers", workers, "--overwrite"]
    process = subprocess.Popen([sys.executable, "-m", "mbert_onnx", *command])
    peak = _Peak(process.pid)
    code = process.wait()
    seconds = time.monotonic() - since
    if code:
        return code
    with output.open("rb") as file:
        written = sum(1 for _ in file) - 1
    print(f"{written:,} rows of {int(rows):,} in {seconds / 60:.1f} minutes, {workers} workers")
    print(f"peak memory of all {peak.processes} processes: {peak.pss / 2**20:,.0f} MiB (PSS)")
    return 0 if written == int(rows) else 1


class _Peak:
    """The largest memory of a process and its children, looked at until it ends."""

    def __init__(self, pid: int) -> None:
        self.pss = self.processes = 0
        self._process = psutil.Process(pid)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self._process.is_running():
            with suppress(psutil.Error):
                family = [self._process, *self._process.children(recursive=True)]
                self.pss = max(self.pss, sum(self._pss(one) for one in family))
                self.processes = max(self.processes, len(family))
            time.sleep(INTERVAL)

    @staticmethod
    def _pss(process: psutil.Process) -> int:
        with suppress(psutil.Error):
            return int(process.memory_full_info().pss)
        return 0


def _write_texts(path: Path, rows: int) -> None:
    generator, words = random.Random(0), WORDS.split()
    texts = [" ".join(generator.choices(words, k=generator.randint(3, 8))) for _ in range(DISTINCT)]
    with path.open("w") as file:
        file.write("id,text\n")
        for start in range(0, rows, DISTINCT):
            count = min(DISTINCT, rows - start)
            file.write("".join(f"{start + number},{texts[number]}\n" for number in range(count)))


def _write_bundle(bundle: Path) -> None:
    import transformers
    from small_checkpoints import save_small

    import mbert_onnx

    checkpoint = bundle.with_name("checkpoint")
    checkpoint.mkdir(exist_ok=True)
    word_encoder(checkpoint, WORDS)
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(checkpoint / "tokenizer.json"),
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    ).save_pretrained(checkpoint)
    save_small(checkpoint, "MobileBertForSequenceClassification", num_hidden_layers=1)
    mbert_onnx.export(checkpoint, bundle)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
