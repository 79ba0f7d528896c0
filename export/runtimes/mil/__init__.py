"""A reference interpreter for Core ML packages on machines without Core ML."""
