"""Tokenizer of a checkpoint: loaded as transformers does, and compared with the one that a bundle gets."""
