"""Texts: tasks, the encoder around a tokenizer, calibration texts and the readers of text files."""
