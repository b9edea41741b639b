"""Texts for training and evaluation: custom files, corpora, GLUE and SQuAD, and their tokenized rows and batches."""
