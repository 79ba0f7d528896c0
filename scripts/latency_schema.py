"""Writes docs/reference/latency-table.schema.json, the JSON schema of latency tables."""

from __future__ import annotations

from pathlib import Path

from edgecmp.artefacts.latency_table_schema import table_schema
from edgecmp.files import write_json

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    print(f"Wrote {write_json(root / 'docs/reference/latency-table.schema.json', table_schema())}")
