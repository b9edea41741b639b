"""Jobs: finished parts of an output, and the manifest from which a killed job continues."""
