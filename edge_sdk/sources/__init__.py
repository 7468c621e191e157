"""Sources: one file for each kind of hardware that touchpoints and readings come from."""
