"""Training loop: stages and their schedule, optimizers, loss curves, and the run folder."""
