"""The machine: processor, clock, emulation, peak rates, and the time and memory that a model takes on it."""
