"""The outputs of timed models: how far they are from each other and from a float model."""
