"""Passes that remove NoNorm and merge linear operators: constants move into weights and biases."""
