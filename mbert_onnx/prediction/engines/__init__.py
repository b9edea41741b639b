"""Engines: they turn chunks into results, in this process, in several, or in a cluster."""
