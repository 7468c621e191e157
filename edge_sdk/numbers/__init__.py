"""Number pools: who holds which tracking number, and how often that names the wrong caller.

Pure: no I/O, no clock, no library. The bridge and a store's gateway use the same files.
"""
