"""Output files: columns of answers, and tables in the formats of the output."""
