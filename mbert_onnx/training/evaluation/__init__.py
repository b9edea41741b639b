"""Evaluation of models on labelled texts: checkpoints in torch, portable and native model files, in one table.

`evaluated_model` opens models, `classification` and `questions` compute their predictions, `evaluator` compares them,
`result` is the result, and `submission` writes GLUE's submission files.
"""
