"""Programs that convert a model in a peer's own Python environment, without the rest of this package."""
