"""A lowered network, or a segment of one, as a TFLite file: node by node, in the graph's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgecmp.export.formats.tflite.graph_builder import GraphBuilder
from edgecmp.export.formats.tflite.operators import OPERATORS
from edgecmp.export.lowering.graph import IMAGE, Graph
from edgecmp.export.quantisation.qparams import Plan

__all__ = ["write_graph", "write_segment"]


def write_graph(
    graph: Graph, *, store: str = "fp32", plan: Plan | None = None, metadata: Mapping[str, bytes]
) -> bytes:
    """The TFLite file of a whole network at batch 1, from floats or pixels to floats.

    Args:
        graph: the network.
        store: how the weights of float operators are stored: "fp32", "fp16" or "int8".
        plan: the values that are computed in integers, and their scales; None: no value is.
        metadata: documents to store in the file, by name.
    """
    return _write(GraphBuilder(graph, store=store, plan=plan), metadata)


def write_segment(
    graph: Graph, *, plan: Plan | None = None, outputs: Sequence[str], first: bool
) -> bytes:
    """The TFLite file of a segment of a network, with no conversion that the network lacks.

    Args:
        graph: the segment; its `IMAGE` is the value that the segment reads.
        plan: as in `write_graph`; it contains `IMAGE` if the segment reads integers.
        outputs: names of the values that the rest of the network reads.
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
