"""From a plain convolutional network, such as a baseline, to its graph, through torch.fx.

It supports features, a global average and a linear layer or a 1x1 convolution, which pytorchcv's
classifiers and the gallery networks consist of. `OPERATIONS` translates each module, function and
method exactly; anything else is refused by name.
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
from edgecmp.export.lowering.graph import IMAGE, Add, Affine, Conv, Graph, Node, Shape
from edgecmp.preprocessing import Preprocessing

__all__ = ["EMBEDDING", "trace_module"]

EMBEDDING = "embedding"
"""The name of the output, as in the graphs of the query networks."""


@torch.no_grad()
def trace_module(module: nn.Module, input_size: int, pixels: Preprocessing | None = None) -> Graph:
    """The module in evaluation mode as a graph, node by node, its weights in float64.

    Args:
        module: from images (N, 3, S, S) to embeddings (N, D); it is not changed.
        input_size: height and width S of the images, in pixels.
        pixels: the graph reads pixels in 0..255 and normalises them in this way; None: it reads
            normalised images.

    Raises:
        UserError: the module uses an operation that is not in `OPERATIONS`.
    """
    try:
        traced = _Tracer().trace(module)
    except fx.proxy.TraceError as error:
        raise UserError(
            f"{type(module).__name__} is not a plain feed-forward network: {error}.",
            "Write its `forward` without branches on the values or shapes of tensors.",
        ) from error
    return _Walk(module, (3, input_size, input_size), pixels).run(traced)


IN_PLACE = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid)
"""Modules with the option to overwrite their input."""


class _Tracer(fx.Tracer):
    """Does not trace into the modules that `OPERATIONS` translates."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in OPERATIONS or super().is_leaf_module(m, module_qualified_name)


class _Walk(Tracing):
    """Walks the fx graph once.

    Attributes:
        environment: the translation of each fx node so far.
    """

    def __init__(self, module: nn.Module, shape: Shape, pixels: Preprocessing | None) -> None:
        super().__init__(module, shape, pixels)
        self.environment: dict[fx.Node, Any] = {}

    def run(self, traced: fx.Graph) -> Graph:
        """The graph; the last value is called `EMBEDDING`."""
        *calls, output = traced.nodes
        for node in calls:
            if node.op == "placeholder":
                if self.environment:
                    raise self.refuse("A network with a second input")
                self.environment[node] = Value(self.image)
            else:
                self.name = self.unique(node)
                self.environment[node] = self.translate(node)
                if self.in_place(node):
                    self.overwrite(node)
        return self.finish(self.arguments(output)[0][0])

    def arguments(self, node: fx.Node) -> tuple[Any, Any]:
        """The positional and named arguments of a call, with fx nodes replaced."""
        translated: tuple[Any, Any] = fx.node.map_arg(
            (node.args, node.kwargs), self.environment.__getitem__
        )
        return translated

    def overwrite(self, node: fx.Node) -> None:
        """Replaces the input of a call in place by its result, for all later readers."""
        source = next((a for a in node.args if isinstance(a, fx.Node)), None)
        if source is None:
            return
        if source.target is operator.getitem:
            raise self.refuse("An in-place operation on a part of a tensor")
        before, after = self.environment[source], self.environment[node]
        self.environment |= {key: after for key, v in self.environment.items() if v == before}

    def translate(self, node: fx.Node) -> Any:
        """The result of a call, by its entry in `OPERATIONS`."""
        arguments, options = self.arguments(node)
        key: Any = node.target
        if node.op == "get_attr":
            raise self.refuse("A tensor outside any layer")
        if node.op == "call_module":
            layer = self.module.get_submodule(str(node.target))
            key, arguments = type(layer), (layer, *arguments)
        if key not in OPERATIONS:
            known = ", ".join(sorted({_name(entry) for entry in OPERATIONS}, key=str.lower))
            raise UserError(
                f"The lowering does not support {_name(key)} ({self.name}).",
                f"Use only what it supports: {known}.",
            )
        entry = OPERATIONS[key]
        try:
            call = inspect.signature(entry).bind(self, *arguments, **options)
        except TypeError as error:
            raise self.refuse(
                f"A call of {_name(key)} with unsupported arguments ({error})"
            ) from error
        return entry(*call.args, **call.kwargs)

    def in_place(self, node: fx.Node) -> bool:
        """Whether a call overwrites its input."""
        if node.op != "call_module":
            return bool(node.kwargs.get("inplace", False))
        layer = self.module.get_submodule(str(node.target))
        return isinstance(layer, IN_PLACE) and layer.inplace

    def finish(self, result: Any) -> Graph:
        """The graph with `result` as its output."""
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
        """An unused name, made of that of the module that a call belongs to."""
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
    """The nodes, each ReLU merged into the node before it unless that has other readers."""
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
