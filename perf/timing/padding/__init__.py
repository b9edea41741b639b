"""Cost of padding: texts at their own lengths and padded, and a batch of texts of different lengths."""
