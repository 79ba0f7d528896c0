"""The image of an integer network: its integers are the pixels minus one whole number."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from edgecmp.export.lowering.graph import IMAGE, Affine, Conv, Graph, Node, Pad

__all__ = ["centre_pixels"]


def centre_pixels(graph: Graph) -> tuple[Graph, int]:
    """A graph that reads `pixel - zero` where the given one reads pixels, and `zero`.

    The rest of the normalisation, 255 mean - zero for each channel, goes into the biases of the
    convolutions that read the image. This is exact except for the padding of the stem, which is
    `zero` instead of 255 mean: 0.5 grey levels off with means of 0.5.

    Raises:
        ValueError: the image's scale was not folded into the stem (see `fold_scale`).
    """
    first, *rest = graph.nodes
    if not isinstance(first, Affine) or first.inputs != (IMAGE,) or (first.scale != 1).any():
        raise ValueError("An integer network cannot scale its image: lower with fold_scale.")
    zero = min(255, max(0, round(-float(first.shift.mean()))))
    image = {IMAGE}
    nodes: list[Node] = []
    for node in rest:
        inputs = tuple(IMAGE if name == first.name else name for name in node.inputs)
        node = replace(node, inputs=inputs)
        if not image.isdisjoint(inputs):
            node = _reading_centred(node, first.shift + zero)
            if isinstance(node, Pad):
                image.add(node.name)
        nodes.append(node)
    return graph.with_nodes(nodes), zero


def _reading_centred(node: Node, shift: Tensor) -> Node:
    """A node that reads the image without `shift` (3,), which its bias adds instead."""
    if isinstance(node, Pad):
        return node
    if isinstance(node, Conv) and not node.depthwise:
        return replace(node, bias=node.bias + (node.weight.sum((2, 3)) * shift).sum(1))
    raise ValueError(f"{node.name} cannot absorb the image's mean.")
