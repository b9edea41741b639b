"""Metrics of GLUE and SQuAD, confidence intervals, and the figures that the paper reports."""
