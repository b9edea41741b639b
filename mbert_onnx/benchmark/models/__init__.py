"""Models that `bench` accepts: the registry of prefixes, and one builder function for each."""
