"""Studies: each module answers one question and is run with `python -m`."""
