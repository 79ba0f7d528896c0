"""The image of an integer network: its pixels, less one whole number, are the integers."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.export.lowering.graph import IMAGE, Affine, Conv, Graph, Node, Pad

__all__ = ["centre_pixels"]


def centre_pixels(graph: Graph) -> tuple[Graph, int]:
    """A graph that reads `pixel - zero` where the given one reads pixels, and that number.

    What is left of the normalisation, 255 mean - zero for each channel, goes into the biases of the
    convolutions that read the image. It is exact but for the padding of the stem, which is `zero`
    instead of 255 mean: half a grey level off with means of 0.5.

    Raises:
        ValueError: the image's scale was not folded away (see `fold_scale`).
    """
    first = graph.nodes[0]
    if not isinstance(first, Affine) or first.inputs != (IMAGE,) or (first.scale != 1).any():
        raise ValueError("An integer network cannot scale its image: lower with fold_scale.")
    zero = min(255, max(0, round(-float(first.shift.mean()))))
    left = first.shift + zero
    image = {IMAGE}
    nodes: list[Node] = []
    for node in graph.nodes[1:]:
        node = replace(
            node, inputs=tuple(IMAGE if name == first.name else name for name in node.inputs)
        )
        if not image.isdisjoint(node.inputs):
            if isinstance(node, Pad):
                image.add(node.name)
            elif isinstance(node, Conv) and not node.depthwise:
                bias = node.bias + (node.weight.sum((2, 3)) * left).sum(1)
                node = replace(node, bias=bias)
            else:
                raise ValueError(f"{node.name} cannot take up the image's mean.")
        nodes.append(node)
    return graph.with_nodes(nodes), zero
