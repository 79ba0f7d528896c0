"""Artefacts on disk that one command writes and another reads: bundles and latency tables."""
