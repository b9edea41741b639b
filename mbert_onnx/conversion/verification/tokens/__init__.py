"""Tokens of a text file: what its Tokenize node returns, beside what `tokenizers` returns for the same texts."""
