"""Benchmarks: `bench` on this machine, on another one, under an emulator, and of real texts."""
