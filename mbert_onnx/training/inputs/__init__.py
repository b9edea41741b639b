"""The inputs of a training: models, rows of texts and tasks, teacher logits, word embeddings."""
