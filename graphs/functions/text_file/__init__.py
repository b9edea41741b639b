"""The text file: a model with its tokenizer before it and its task's answer behind it, bytes in and answers out.

It is `mbert.Tokenize`, the model, and the functions of `graphs/functions/answers/`; `add_text` builds it, and
`without_text` takes the model out again.
"""
