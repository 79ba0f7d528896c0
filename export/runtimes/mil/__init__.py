"""A reference runner for Core ML packages on machines without Core ML."""
