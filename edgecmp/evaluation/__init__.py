"""Evaluation of query networks: retrieval, the hold-out of searches, and IJB-C."""
