"""Text: tasks, the tokenizer as an encoder, calibration texts and the files that they are read from."""
