"""Sources: one file for each kind of hardware. Each is imported by its own path, with its extra."""
