"""Our TFLite files beside those of other converters: `python -m edgecmp.benchmarks.peers`."""
