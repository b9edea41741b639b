"""How well models do on labelled texts: torch, portable and native files alike, in one table.

`contestant` opens them, `classification` and `questions` have them answer, `result` is the table.
"""
