"""What a user would pick instead: other tools' exports of the same weights, each as its own tool makes it."""
