"""Content: what a model file of any format contains."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edgecmp.inspection import weight_facts

__all__ = ["Content"]


@dataclass(kw_only=True, slots=True)
class Content:
    """What a model file contains, as the reader of its format found it.

    Attributes:
        form: the format and its version.
        inputs, outputs: name, type and shape of each.
        operators: how often each is used.
        weights: by type: (number of values, bytes).
        weight_files: names of other files that the weights are stored in.
        has_metadata: whether it contains the metadata of an edgecmp export.
    """

    form: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)
    weights: dict[str, tuple[int, int]] = field(default_factory=dict)
    weight_files: list[str] = field(default_factory=list)
    has_metadata: bool = False

    def count_weight(self, kind: str, values: int, size: int) -> None:
        """Adds one tensor of weights.

        Args:
            kind: its type.
            values: number of its values.
            size: its bytes.
        """
        before = self.weights.get(kind, (0, 0))
        self.weights[kind] = (before[0] + values, before[1] + size)

    def facts(self) -> dict[str, Any]:
        """The entries of an `Inspection`."""
        return {
            "format": self.form,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "operators": dict(self.operators.most_common()),
            "weights": weight_facts(self.weights),
            "weight_files": self.weight_files or None,
        }
