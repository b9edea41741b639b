"""Inputs of a training: models, task losses, tokenized rows, teacher logits, text variants, word embeddings."""
