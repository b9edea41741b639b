"""Input files as chunks of rows: CSV, TSV, JSON Lines, Parquet and lines of text, each as a stream.

pyarrow opens the files, unpacks gzip and reads Parquet. Its CSV and JSON readers are not used: they parse whole blocks,
and stop at the first value of a block that is not valid, so that a bad row could be neither counted nor skipped. The
rows of CSV and JSON Lines are therefore parsed one by one, with Python's `csv` and `json`.
"""
