"""Strategies: what a search evaluates next."""
