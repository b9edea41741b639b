"""The browser: apps of text files, and the JavaScript package that runs them."""
