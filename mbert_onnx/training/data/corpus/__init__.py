"""Pre-training data: documents, lines, segments of two parts, masked tokens."""
