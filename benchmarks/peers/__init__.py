"""Comparison with other converters, by `python -m edgecmp.benchmarks.peers.run`."""
