"""Training on Hugging Face `accelerate`: pre-training of a teacher, distillation of a student, fine-tuning for a task.

`recipe` defines the TOML files, `loop` trains a stage and keeps the run folder, `data` and `inputs` prepare texts and
models, `distillation` has the paper's objectives and strategies, `evaluation` measures models on labelled texts.
"""
