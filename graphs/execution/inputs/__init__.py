"""Inputs of graphs: as declared, their limits, and arrays for trials, traces, comparisons and verification."""
