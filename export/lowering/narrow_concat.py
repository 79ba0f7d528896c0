"""Rewrite: a concatenation of many pieces becomes one of few, some of them concatenations.

XNNPACK joins up to four pieces at once in tflite-runtime 2.14 and up to five in LiteRT 2.3. A
wider concatenation is left to the interpreter and cuts the network into partitions. With one thread
that costs nothing; with two, tflite-runtime is up to 1.7 times as fast in one partition.
"""

from __future__ import annotations

from dataclasses import replace

from edgecmp.export.lowering.graph import Concat, Graph, Node

__all__ = ["MAX_PIECES", "narrow_concat"]

MAX_PIECES = 4
"""Pieces that every runtime's XNNPACK joins at once."""


def narrow_concat(graph: Graph) -> Graph:
    """Joins the first pieces of each wide concatenation first: the small ones, as they lie."""
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Concat):
            while len(node.inputs) > MAX_PIECES:
                name = f"{node.name}/{len(node.inputs)}"
                nodes.append(Concat(name=name, inputs=node.inputs[:MAX_PIECES]))
                node = replace(node, inputs=(name, *node.inputs[MAX_PIECES:]))
        nodes.append(node)
    return graph.with_nodes(nodes)
