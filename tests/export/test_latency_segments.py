"""The segments of a tier contain exactly the operators of whole networks."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from ai_edge_litert import schema_py_generated as schema

from edgecmp.artefacts.latency_table import ENTRIES
from edgecmp.export.latency_segments import (
    HEAD,
    OVERHEAD,
    STEM,
    entry_name,
    latency_segments,
    network_file,
)
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, WIDTHS, tier

SIZE = 64
NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items()}
COPIES = ("SLICE", "CONCATENATION")
"""Operators that gather channels between layers; the same in every network of a tier."""


def operators(data: bytes) -> Counter[tuple[object, ...]]:
    """How often a file contains each kind of operator, with type and shapes of its tensors."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    found: Counter[tuple[object, ...]] = Counter()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        tensors = [graph.tensors[i] for i in (*operator.inputs[:2], operator.outputs[0])]
        found[kind, *((tensor.type, tuple(tensor.shape)) for tensor in tensors)] += 1
    return found


@cache
def all_segments(precision: str) -> dict[str, bytes]:
    return dict(latency_segments("100M", input_size=SIZE, embedding_dim=128, precision=precision))


def test_there_is_a_segment_for_each_entry() -> None:
    wanted = {entry_name(*entry) for entry in ENTRIES} | {STEM, HEAD, OVERHEAD}
    assert set(all_segments("fp32")) == wanted
    assert len(wanted) == 4 * 2 * len(BLOCKS) * len(WIDTHS) + 3


@pytest.mark.slow(quick=["0-fp32", "1-fp32", "2-fp32"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_segments_of_a_network_are_its_operators(precision: str, seed: int) -> None:
    architecture = Architecture.random("100M", seed=seed, input_size=SIZE)
    together = operators(all_segments(precision)[STEM]) + operators(all_segments(precision)[HEAD])
    genes = zip(tier("100M").layers, architecture.blocks, architecture.widths, strict=True)
    for layer, block, width in genes:
        name = entry_name(layer.stage, layer.stride, block, width)
        together += operators(all_segments(precision)[name])
    whole = operators(network_file(architecture, precision=precision))
    between = whole - together
    assert not together - whole
    assert {kind for kind, *_ in between} <= set(COPIES)
    assert sum(between.values()) > 20


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_between_the_segments_is_the_same_in_every_network(precision: str) -> None:
    between = []
    for seed in (3, 4):
        architecture = Architecture.random("100M", seed=seed, input_size=SIZE)
        whole = operators(network_file(architecture, precision=precision))
        between.append({key: count for key, count in whole.items() if key[0] in COPIES})
    assert between[0] == between[1]
