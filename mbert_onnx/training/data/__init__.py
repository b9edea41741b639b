"""Texts to train on and to measure with: plain files, GLUE's nine tasks, SQuAD, and what becomes of them as tokens."""
