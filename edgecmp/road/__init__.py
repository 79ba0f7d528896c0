"""The road from a gallery model and photos to a proven file: `edgecmp run`, station by station."""
