"""Benchmarks: `bench` on this machine or another one, under an emulator, and of real texts."""
