"""Evaluation: retrieval metrics of query networks, the hold-out of searches, and IJB-C."""
