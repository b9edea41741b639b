"""The training loop: stages, schedules, optimizers, curves, and the folder of a run."""
