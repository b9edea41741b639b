"""Reports about a graph: a census of its nodes, tensor ranges, outliers, the error that each layer adds."""
