"""Training on Hugging Face `accelerate`: a teacher is pre-trained, a student distilled, either fine-tuned.

`recipe` is what a TOML file may say, `loop` trains one stage, `run` is the folder in which all of it is kept.
"""
