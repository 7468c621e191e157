"""The benchmarks that scripts/bench runs: a file each, with a main(argv) that returns a code."""
