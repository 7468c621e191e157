"""The commands of `store-simulator`, one file each."""
