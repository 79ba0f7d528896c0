"""The file formats of the export targets: one folder per format, and their registry."""
