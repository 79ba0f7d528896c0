"""The latency table: its sum, its file and the schema that describes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.artefacts.latency_table import ENTRIES, LatencyTable
from edgecmp.artefacts.latency_table_schema import table_schema
from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import tier
from tests.fixtures.latency_tables import make_table

SCHEMA = Path(__file__).resolve().parents[2] / "docs/reference/latency-table.schema.json"


@pytest.mark.parametrize("seed", range(5))
def test_the_latency_of_a_network_is_the_sum_over_its_layers(seed: int) -> None:
    table = make_table()
    architecture = Architecture.random("100M", seed=seed, input_size=64)
    entries = dict(zip(ENTRIES, table.entries_ms.tolist(), strict=True))
    total = table.stem_ms + table.head_ms - table.overhead_ms
    genes = zip(tier("100M").layers, architecture.blocks, architecture.widths, strict=True)
    for layer, block, width in genes:
        total += entries[layer.stage, layer.stride, block, width] - table.overhead_ms
    assert table.predict(architecture) == pytest.approx(1.1 * total + 0.03, rel=1e-12)
    genes_of = (np.array([part], np.uint8) for part in (architecture.blocks, architecture.widths))
    assert table.predicts(*genes_of) == pytest.approx([table.predict(architecture)])


def test_a_network_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"100M tier at 64 pixels with 128-d.*not 100M at 224"):
        make_table().predict(Architecture.random("100M", seed=0))


def test_a_table_of_another_lowering_is_refused() -> None:
    make_table().require_lowering("ab" * 32)
    with pytest.raises(UserError, match=r"another edgecmp wrote.*edgecmp latency build"):
        make_table().require_lowering("cd" * 32)


def test_it_is_read_back_from_its_file(tmp_path: Path) -> None:
    table = make_table(check={**CHECK})
    again = LatencyTable.load(table.save(tmp_path / "table.json"))
    assert again.to_dict() == table.to_dict()
    assert (again.entries_ms == table.entries_ms).all()
    assert again.fingerprint == table.fingerprint == make_table().fingerprint
    assert make_table(scale=1.2).fingerprint != table.fingerprint


def test_the_published_schema_is_that_of_the_reader() -> None:
    assert json.loads(SCHEMA.read_text()) == table_schema(), "run scripts/latency_schema.py"


ERRORS = {
    "nets": 50,
    "mape": 1.0,
    "max_error": 3.0,
    "within_5": 100.0,
    "within_10": 100.0,
    "tau": 0.96,
}
CHECK = {
    **ERRORS,
    "at_todays_speed": ERRORS,
    "slowdown": 1.0,
    "date": "2026-11-25T00:00:00+00:00",
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(format="nn-meter/1"), "format: input should be"),
        (lambda d: d.pop("scale"), "scale: field required"),
        (lambda d: d["entries_ms"].pop(), "1 of its 320 entries are missing"),
        (lambda d: d["entries_ms"][3].update(ms=0), r"entries_ms\.3\.ms: input should be greater"),
        (lambda d: d.update(speed=1), "speed: extra inputs"),
    ],
)
def test_the_fault_of_a_damaged_table_is_named(
    change: Callable[[dict[str, Any]], Any], says: str, tmp_path: Path
) -> None:
    document = make_table().to_dict()
    change(document)
    path = tmp_path / "table.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=says):
        LatencyTable.load(path)
