"""The cloud bridge: what devices sealed is opened, kept, joined, and answered with prompts."""
