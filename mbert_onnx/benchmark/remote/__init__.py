"""Benchmarks on another machine: the job, and the wheel that is sent with it."""
