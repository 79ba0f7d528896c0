"""The export targets: one folder per file format, and the table of them."""
