"""Jobs: the methods of a model on many inputs, in batches of rows."""
