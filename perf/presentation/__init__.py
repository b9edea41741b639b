"""Presentation of a report: tables, comparisons, warnings, and an HTML page."""
