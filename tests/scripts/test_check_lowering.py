"""The check of a thousand networks finds nothing wrong here, and would find what is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecmp.export.lowering import REWRITES, Graph
from edgecmp.export.lowering.graph import Conv
from scripts.check_lowering import LOWER, check, variants


def biased(graph: Graph) -> Graph:
    """A rewrite that moves the first bias a little."""
    index = next(i for i, node in enumerate(graph) if isinstance(node, Conv))
    nodes = list(graph)
    first = nodes[index]
    assert isinstance(first, Conv)
    nodes[index] = replace(first, bias=first.bias + 1e-7)
    return graph.with_nodes(nodes)


@pytest.mark.parametrize("number", [0, 4])
def test_passes(number: int) -> None:
    result = check(number)
    assert result.failures == []
    assert {*variants()} < {*result.worst}
    assert max(by_type["float64"] for by_type in result.worst.values()) < 1e-12


def test_catches_a_rewrite_that_changes_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    right = REWRITES["pad_stride2"]
    monkeypatch.setitem(REWRITES, "pad_stride2", lambda graph: biased(right(graph)))
    failures = check(1).failures
    assert [line.split(": ")[1].split(" differs")[0] for line in failures] == ["pad_stride2", LOWER]
    assert all("float64" in line for line in failures)
