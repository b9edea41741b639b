"""Settings of a tokenizer and of rows, and the tables that are made from them: all that a body or a kernel needs."""
