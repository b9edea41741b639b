"""Vocabulary size of a graph without a config."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from graph_helpers import graph

from graphs.errors import GraphError
from graphs.model.embeddings import FEWEST_ROWS, embedding_rows


def rows(path: Path, body: str, ids: str = "input_ids") -> int:
    text = f"""(int64[2, s] {ids}, int64[2, s] token_type_ids) => (float[2, s, 4] y)
        <float[123, 4] words, float[2, 4] types, int64[1] flat = {{-1}}, int64[1] axis = {{0}}> {{ {body} }}"""
    ir.save(graph(text), path / "model.onnx")
    return embedding_rows(path / "model.onnx")


TYPES = "t = Gather(types, token_type_ids)"


@pytest.mark.parametrize(
    "lookup",
    [
        "w = Gather(words, input_ids)",
        "i = Cast <to = 6> (input_ids) w = Gather(words, i)",
        "u = Unsqueeze(input_ids, axis) q = Squeeze(u, axis) i = Identity(q) w = Gather(words, i)",
        # What else reads the ids (a mask, padding for trigrams) hides nothing.
        "z = Add(input_ids, input_ids) m = Cast <to = 1> (z) w = Gather(words, input_ids)",
    ],
)
def test_the_rows_of_the_looked_up_table_are_the_vocabulary_size(tmp_path: Path, lookup: str) -> None:
    assert rows(tmp_path, f"{TYPES} {lookup} y = Add(w, t)") == 123


def test_the_order_of_the_lookups_does_not_matter(tmp_path: Path) -> None:
    assert rows(tmp_path, f"w = Gather(words, input_ids) {TYPES} y = Add(w, t)") == 123


def test_ids_of_another_name_are_those_of_the_largest_table(tmp_path: Path) -> None:
    assert rows(tmp_path, f"{TYPES} w = Gather(words, x) y = Add(w, t)", ids="x") == 123


def test_a_graph_without_lookups_is_given_few_rows(tmp_path: Path) -> None:
    body = "z = Add(x, token_type_ids) f = Cast <to = 1> (z) u = Unsqueeze(f, flat) y = Concat <axis = 2> (u, u, u, u)"
    assert rows(tmp_path, body, ids="x") == FEWEST_ROWS


def test_ids_that_choose_along_another_way_are_given_few_rows(tmp_path: Path) -> None:
    body = f"{TYPES} z = Add(input_ids, input_ids) w = Gather(words, z) y = Add(w, t)"
    assert rows(tmp_path, body) == FEWEST_ROWS


def test_ids_that_are_themselves_chosen_from_are_no_lookup(tmp_path: Path) -> None:
    body = f"{TYPES} first = Gather(input_ids, axis) y = Identity(t)"
    assert rows(tmp_path, body) == FEWEST_ROWS


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError):
        embedding_rows(tmp_path / "model.onnx")
