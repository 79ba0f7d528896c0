"""The fingerprint of the lowering changes with the lowering, and with nothing else."""

from __future__ import annotations

import pytest

from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.export.lowering.lower import REWRITES


def test_the_fingerprint_follows_the_lowering(monkeypatch: pytest.MonkeyPatch) -> None:
    before = lowering_fingerprint()
    lowering_fingerprint.cache_clear()
    assert lowering_fingerprint() == before
    monkeypatch.delitem(REWRITES, "narrow_concat")
    lowering_fingerprint.cache_clear()
    try:
        assert lowering_fingerprint() != before
    finally:
        lowering_fingerprint.cache_clear()
