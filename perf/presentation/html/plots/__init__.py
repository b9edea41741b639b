"""Plots of the HTML page: latency, blocks, roofline, latency against quality, and their drawing tools."""
