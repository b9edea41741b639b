"""The child process of a local worker: loads the model once, and answers the chunks on its standard input.

Each request is the pickled (number, arguments) of a chunk. The answers on standard output are pickled pairs: READY,
once the model is loaded; ANSWERS with the number and the answers of a chunk; FAILED with an MbertError.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any

READY, ANSWERS, FAILED = "ready", "answers", "failed"
# Exit code of a worker whose memory is exhausted, as of one that the system has killed.
NO_MEMORY = 137


def main() -> None:
    """Answers requests until standard input ends, which it also does when the parent dies."""
    # Output of libraries must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    settings = pickle.load(sys.stdin.buffer)
    if settings.threads == 1:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before `tokenizers` starts its threads
    from mbert_onnx.errors import MbertError
    from mbert_onnx.prediction.predictor import Predictor

    def send(kind: str, value: Any) -> None:
        pickle.dump((kind, value), answers)
        answers.flush()

    try:
        predictor = Predictor(settings)
        send(READY, None)
        while True:
            number, arguments = pickle.load(sys.stdin.buffer)
            send(ANSWERS, (number, predictor.answers(arguments)))
    except MbertError as error:
        send(FAILED, error)
    except MemoryError:
        os._exit(NO_MEMORY)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the parent has ended; nothing is left to be flushed
