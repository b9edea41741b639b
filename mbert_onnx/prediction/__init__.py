"""Prediction over whole files: reading, the model in several processes or machines, writing with restarts."""
