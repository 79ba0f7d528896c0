"""From a plain convolutional network of other people's to a graph, through torch.fx.

Features, a global average and a linear layer or a 1x1 convolution: what pytorchcv's classifiers
and the gallery networks are made of. `OPERATIONS` holds, for each module, function and method, what
it is in the graph; there is no approximation, so anything else is refused by its name.
"""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn

from edgecmp.errors import UserError
from edgecmp.export.lowering.baseline_nodes import Activation
from edgecmp.export.lowering.fx_operations import OPERATIONS
from edgecmp.export.lowering.fx_tracing import Tracing, Value
from edgecmp.export.lowering.graph import IMAGE, Add, Affine, Conv, Graph, Node
from edgecmp.preprocessing import Preprocessing

__all__ = ["EMBEDDING", "trace_module"]

EMBEDDING = "embedding"
"""The name of the value that the network gives, as in the graphs of our own networks."""


@torch.no_grad()
def trace_module(module: nn.Module, input_size: int, pixels: Preprocessing | None = None) -> Graph:
    """The module in evaluation mode as a graph, node by node, its weights in float64.

    Args:
        module: from images (N, 3, S, S) to embeddings (N, D); is not changed.
        input_size: height and width of the images, S.
        pixels: the image is pixels in 0..255, and the graph normalises them in this way; None: the
            image is normalised before.

    Raises:
        UserError: it does something that is not in `OPERATIONS`.
    """
    try:
        traced = _Tracer().trace(module)
    except fx.proxy.TraceError as error:
        raise UserError(
            f"{type(module).__name__} is no plain feed-forward network: {error}.",
            "Its `forward` may not depend on the values or shapes of tensors.",
        ) from error
    return _Walk(module, (3, input_size, input_size), pixels).run(traced)


IN_PLACE = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid)
"""Modules that overwrite their input if they are built so."""


class _Tracer(fx.Tracer):
    """Stops at the modules that `OPERATIONS` knows."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in OPERATIONS or super().is_leaf_module(m, module_qualified_name)


class _Walk(Tracing):
    """Walks the fx graph once."""

    def run(self, traced: fx.Graph) -> Graph:
        """The graph; the last value is called `EMBEDDING`."""
        environment: dict[fx.Node, Any] = {}
        for node in traced.nodes:
            arguments, options = fx.node.map_arg((node.args, node.kwargs), environment.__getitem__)
            if node.op == "placeholder":
                if environment:
                    raise self.refuse("A network with a second input")
                environment[node] = Value(self.image)
            elif node.op == "output":
                return self.finish(arguments[0])
            else:
                self.name = self.unique(node)
                source = next((a for a in node.args if isinstance(a, fx.Node)), None)
                result = self.translate(node, arguments, options)
                if source is not None and self.in_place(node):
                    if source.target is operator.getitem:
                        raise self.refuse("A part of a tensor that is overwritten")
                    before = environment[source]  # whoever reads it later reads the result
                    environment |= {key: result for key, v in environment.items() if v == before}
                environment[node] = result
        raise AssertionError("fx graphs end in an output")

    def translate(self, node: fx.Node, arguments: Any, options: Any) -> Any:
        """What a call gives, by its entry in `OPERATIONS`."""
        key: Any = node.target
        if node.op == "get_attr":
            raise self.refuse("A tensor that belongs to no layer")
        if node.op == "call_module":
            layer = self.module.get_submodule(str(node.target))
            key, arguments = type(layer), (layer, *arguments)
        if key not in OPERATIONS:
            known = ", ".join(sorted({_name(entry) for entry in OPERATIONS}, key=str.lower))
            raise UserError(
                f"The lowering does not know {_name(key)} ({self.name}).", f"It knows: {known}."
            )
        entry = OPERATIONS[key]
        try:
            call = inspect.signature(entry).bind(self, *arguments, **options)
        except TypeError as error:
            raise self.refuse(f"A call of {_name(key)} with {error}") from error
        return entry(*call.args, **call.kwargs)

    def in_place(self, node: fx.Node) -> bool:
        """Whether a call overwrites what it reads."""
        if node.op != "call_module":
            return bool(node.kwargs.get("inplace", False))
        layer = self.module.get_submodule(str(node.target))
        return isinstance(layer, IN_PLACE) and layer.inplace

    def finish(self, result: Any) -> Graph:
        """The graph that gives this value."""
        if not isinstance(result, Value) or result.name not in self.nodes:
            raise self.refuse("An output other than one embedding")
        if len(self.shapes[result.name]) != 1:
            raise self.refuse("A feature map as the output")
        names = {result.name: EMBEDDING}
        nodes = [
            replace(
                node,
                name=names.get(node.name, node.name),
                inputs=tuple(names.get(name, name) for name in node.inputs),
            )
            for node in _with_relus([*self.nodes.values()], result.name)
        ]
        nodes.sort(key=lambda node: node.name == EMBEDDING)
        return Graph(
            nodes=tuple(nodes), input_shape=self.input_shape, reads_pixels=self.reads_pixels
        )

    def unique(self, node: fx.Node) -> str:
        """A free name after the module that does it or that it is done in."""
        path = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
        name = path[-1] if path else ""
        if node.op != "call_module":
            name = f"{name}.{node.name}".strip(".")
        taken = {IMAGE, EMBEDDING, *self.nodes}
        return next(
            candidate
            for candidate in (name, *(f"{name}/{count}" for count in range(1, len(taken) + 2)))
            if candidate not in taken
        )


def _with_relus(nodes: list[Node], output: str) -> list[Node]:
    """The nodes, each ReLU made part of the node before it where nobody else reads that."""
    readers = Counter([output, *(name for node in nodes for name in node.inputs)])
    after: dict[str, Node] = {}
    for node in nodes:
        source = after.get(node.inputs[0])
        if (
            isinstance(node, Activation)
            and node.kind == "relu"
            and isinstance(source, Conv | Affine | Add)
            and readers[source.name] == 1
        ):
            del after[source.name]
            node = replace(source, name=node.name, relu=True)
        after[node.name] = node
    return list(after.values())


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(key.__name__)
