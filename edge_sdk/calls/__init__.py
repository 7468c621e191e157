"""Telephone calls: one model for every line, and numbers as people have them. Pure."""
