"""The Tokenize node of a text file, alone in a session: with the function's body, or with the native kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from graphs.functions.text.function import outputs
from graphs.functions.text.tables.row_options import Form
from graphs.model.quiet import quiet_options
from mbert_onnx.bundles.inputs import first_line
from mbert_onnx.conversion.verification.tokens.rows import Rows, Tokens
from mbert_onnx.conversion.verification.tokens.texts import Texts
from mbert_onnx.errors import VerificationError

# Bytes of the texts that are run at once: more do not make it faster, and take memory.
BATCH_BYTES = 32_768
# A number of tokens that no row has.
UNBOUNDED = 2**31


@dataclass(frozen=True)
class TokenizeNode:
    """The node, and what its attributes say.

    Args:
        name: The name of the file, for messages.
        form: The operator.
        attributes: The attributes by name, see docs/development/tokenize.md.
        session: A session of a model that has this node only.
    """

    name: str
    form: Form
    attributes: dict[str, Any]
    session: Any

    @classmethod
    def of(cls, model: onnx.ModelProto, name: str, library: Path | None = None) -> TokenizeNode | None:
        """Returns the node of a model that has it only.

        Args:
            model: The model, as `graphs.functions.text_file.detach.tokenize_model` returns it.
            name: The name of the file, for messages.
            library: Native kernels to run it with. None is returned where they have none for this operator.

        Raises VerificationError where onnxruntime does not load it.
        """
        options = quiet_options()
        options.intra_op_num_threads = 1
        if library is not None:
            options.register_custom_ops_library(str(library))
            bare = onnx.ModelProto()
            bare.CopyFrom(model)
            del bare.functions[:]
            model = bare
        [node] = model.graph.node
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common class
            if library is not None:
                return None
            raise VerificationError(f"{name} is not loaded by onnxruntime: {first_line(error)}") from error
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        return cls(name, Form(node.op_type), attributes, session)

    @property
    def limit(self) -> int:
        """The largest `max_length`."""
        return int(self.attributes["limit"])

    @property
    def windowed(self) -> int | None:
        """The sequence that is cut into windows: 0 the text, 1 the pair; None if rows are truncated."""
        if not self.form.has_windows:
            return None
        return int(self.attributes["windowed"]) if self.form.has_pair else 0

    def run(
        self,
        texts: Texts,
        pairs: Texts | None = None,
        *,
        max_length: int = UNBOUNDED,
        stride: int = -1,
        alone: bool = False,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yields the outputs by name of one batch of texts after the other, or with `alone` of each text.

        `row_texts` are numbers of all texts.
        """
        ends = list(range(1, len(texts) + 1)) if alone else self._batches(texts, pairs)
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            feed = dict(zip(("text", "row_splits"), texts.joined(begin, end), strict=True))
            if pairs is not None:
                feed |= dict(zip(("pair", "pair_splits"), pairs.joined(begin, end), strict=True))
            feed["max_length"] = np.array([max_length])
            if self.form.has_windows:
                feed["stride"] = np.array([stride])
            try:
                found = dict(zip(outputs(self.form), self.session.run(None, feed), strict=True))
            except Exception as error:
                raise VerificationError(f"{self.name} does not run in onnxruntime: {first_line(error)}") from error
            found["row_texts"] = found["row_texts"] + begin
            yield found

    def rows(
        self,
        texts: Texts,
        pairs: Texts | None = None,
        *,
        max_length: int = UNBOUNDED,
        stride: int = -1,
        alone: bool = False,
    ) -> Rows:
        """Returns the rows of texts."""
        found = self.run(texts, pairs, max_length=max_length, stride=stride, alone=alone)
        return Rows.joined([Rows.of(one, int(self.attributes["padding"]), self.name) for one in found])

    def tokens(
        self, texts: Texts, pairs: Texts | None = None, *, alone: bool = False
    ) -> tuple[Tokens, list[Tokens], np.ndarray]:
        """Returns all tokens without special ones: of the texts, of the pairs if there are any; and how many were cut.

        Windows do not overlap, so that each token is in one. The number of tokens that were cut is [texts, 1 or 2].
        """
        parts: list[list[Tokens]] = [[] for _ in range(1 if pairs is None else 2)]
        cut = [np.zeros((0, len(parts)), np.int64)]
        for found in self.run(texts, pairs, stride=0, alone=alone):
            first = np.diff(found["row_texts"], prepend=-1) > 0
            for sequence, tokens in enumerate(parts):
                repeated = self.windowed not in (None, sequence)  # beside each window of the other sequence
                tokens.append(Tokens.of(found, sequence, first if repeated else None))
            cut.append(found["cut"])
        of_texts, *of_pairs = (Tokens.joined(tokens) for tokens in parts)
        return of_texts, of_pairs, np.concatenate(cut)

    def _batches(self, texts: Texts, pairs: Texts | None) -> list[int]:
        """Returns the ends of the batches."""
        sizes = np.array([len(data) for data in texts.data], np.int64)
        if pairs is not None:
            sizes = sizes + np.array([len(data) for data in pairs.data], np.int64)
        batch = np.cumsum(sizes + 1) // BATCH_BYTES
        return [*(np.flatnonzero(np.diff(batch)) + 1).tolist(), len(texts)] if len(texts) else []
