"""The command line: one file a command; everything heavy is imported inside the commands."""

from edgecmp.cli.app import main

__all__ = ["main"]
