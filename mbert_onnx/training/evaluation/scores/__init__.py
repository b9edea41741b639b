"""How well a model does: GLUE's metrics, SQuAD's, intervals for them, and the paper's figures to put beside them."""
