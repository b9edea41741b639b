"""Text files: models that read text and return answers, run without a tokenizer in Python."""
