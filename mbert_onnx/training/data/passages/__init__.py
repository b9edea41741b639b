"""Passages: rows of whole neighbouring lines, drawn at random from several sources with weights."""
