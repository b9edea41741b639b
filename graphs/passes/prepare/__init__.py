"""Passes that turn a given graph into the one that results are compared with: at inference, in float32."""
