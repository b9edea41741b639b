"""Text files at export: the tokenizer and the task's answer are put into a model file, and its answers are compared."""
