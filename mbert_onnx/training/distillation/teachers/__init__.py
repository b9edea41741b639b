"""Teachers: our own models and any encoder of transformers, behind one interface."""
