"""Sessions: a model file opened in a runtime, in this process or in a worker, and the inputs that it takes."""
