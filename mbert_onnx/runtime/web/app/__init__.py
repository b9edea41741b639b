"""A web app of a text file: a static page, the model and onnxruntime-web, for any static host and for offline use."""
