"""Files of a checkpoint: config.json, weights, the names of tensors, and folders of other formats."""
