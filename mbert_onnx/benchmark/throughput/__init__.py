"""`bench --throughput`: texts per second of whole passes over a file, from its rows to written answers."""
