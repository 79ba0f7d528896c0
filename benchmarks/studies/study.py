"""The common parts of all studies: the parser, printed tables and the written document.

Every study is run with `python -m edgecmp.benchmarks.studies.NAME`. Its --help is its module
docstring; tables are printed to stdout, and the document is JSON with its provenance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecmp.files import provenance, write_json
from edgecmp.progress import say
from edgecmp.report import print_table

__all__ = ["print_rows", "study_parser", "write_study"]


def study_parser(text: str | None) -> argparse.ArgumentParser:
    """A parser whose --help is the given module docstring, with its line breaks."""
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table and flushes it, even into a pipe, since a study may take hours."""
    print_table(rows)
    sys.stdout.flush()


def write_study(path: Path, document: Mapping[str, Any]) -> None:
    """Writes the document of a study with its provenance, and reports its path.

    Raises:
        UserError: the file cannot be written.
    """
    say(f"Wrote {write_json(path, {**document, 'provenance': provenance()})}.")
