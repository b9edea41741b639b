"""Pre-training data: lines of files, documents, rows of one or two parts, and masking."""
