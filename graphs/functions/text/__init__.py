"""The text functions of the domain `mbert`: UTF-8 bytes to token ids, with tables made from a tokenizer."""
