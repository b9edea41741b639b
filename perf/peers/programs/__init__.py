"""Programs that run in a peer's own environment and convert a model to its format."""
