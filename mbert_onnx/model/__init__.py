"""The model: checkpoints and their weights, the student and teacher in torch, presets, tokenizer files."""
