"""A lowered network, or a part of one, as a TFLite file: node by node, in the graph's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgecmp.export.lowering.graph import IMAGE, Graph
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.targets.tflite.graph_builder import GraphBuilder
from edgecmp.export.targets.tflite.operators import OPERATORS

__all__ = ["write_graph", "write_part"]


def write_graph(
    graph: Graph, *, store: str = "fp32", plan: Plan | None = None, metadata: Mapping[str, bytes]
) -> bytes:
    """The TFLite file of `graph` at batch 1; it reads and gives floats, or reads pixels.

    Args:
        graph: what is computed.
        store: how the weights of float operators are stored: "fp32", "fp16" or "int8".
        plan: the values that are computed in integers, and their scales; None: none is.
        metadata: documents for the file, by name.
    """
    return _write(GraphBuilder(graph, store=store, plan=plan), metadata)


def write_part(
    graph: Graph, *, plan: Plan | None = None, outputs: Sequence[str], first: bool
) -> bytes:
    """The TFLite file of a part of a network: no value is converted that the network does not.

    Args:
        graph: the part; its `IMAGE` is what the part reads.
        plan: as in `write_graph`; with `IMAGE`, if the part reads integers.
        outputs: names of the values that are read behind it.
        first: `IMAGE` is the network's own input.
    """
    return _write(GraphBuilder(graph, store="fp32", plan=plan, inside=not first), {}, outputs)


def _write(
    writer: GraphBuilder, metadata: Mapping[str, bytes], outputs: Sequence[str] = ()
) -> bytes:
    image = writer.image()
    for node in writer.graph:
        inputs = [writer.read(name, integer=writer.integer(node)) for name in node.inputs]
        value = OPERATORS[type(node)](writer, node, inputs)
        if node.name in writer.plan and not writer.integer(node):
            value = writer.convert(node.name, value, integer=True)
        writer.values[node.name] = value
    output = writer.graph.nodes[-1].name
    return writer.builder.finish(
        inputs={IMAGE: image},
        outputs={name: writer.values[name] for name in outputs}
        or {output: writer.read(output, integer=False)},
        metadata=metadata,
        description="edgecmp query network",
    )
