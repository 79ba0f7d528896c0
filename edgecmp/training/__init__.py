"""Trains gallery models, supernets and query networks by recipes."""
