"""Real texts: at their own lengths and padded, in ragged batches, and the throughput of whole files."""
