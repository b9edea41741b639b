"""Peers: other tools' conversions of the same weights, each with that tool's own defaults."""
