"""The output of a search: history, result, pictures, and rankings by another reward."""
