"""Rewrite: a concatenation of many inputs becomes nested concatenations of few.

XNNPACK concatenates up to four inputs in tflite-runtime 2.14 and up to five in LiteRT 2.3. A
wider concatenation is left to the interpreter and splits the network into partitions. With one
thread that costs nothing; with two, tflite-runtime is up to 1.7 times as fast in one partition.
"""

from __future__ import annotations

from dataclasses import replace

from edgecmp.export.lowering.graph import Concat, Graph, Node

__all__ = ["MAX_INPUTS", "narrow_concat"]

MAX_INPUTS = 4
"""Inputs of a concatenation that XNNPACK supports in every runtime."""


def narrow_concat(graph: Graph) -> Graph:
    """Concatenates the first inputs of each wide concatenation first, in their order.

    They are the small ones.
    """
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Concat):
            while len(node.inputs) > MAX_INPUTS:
                name = f"{node.name}/{len(node.inputs)}"
                nodes.append(Concat(name=name, inputs=node.inputs[:MAX_INPUTS]))
                node = replace(node, inputs=(name, *node.inputs[MAX_INPUTS:]))
        nodes.append(node)
    return graph.with_nodes(nodes)
