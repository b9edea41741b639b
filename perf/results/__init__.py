"""Result files: the report of a benchmark, its JSON, and the description of a model file."""
