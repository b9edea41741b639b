"""Timing: warm-up, rounds in which every model runs once, repetitions with fresh sessions."""
