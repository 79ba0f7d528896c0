"""Form: the shape of a query network of any family, as one small JSON document.

The form of a network of the search space is an `Architecture`, that of a pytorchcv network with an
embedding a `Baseline`, and that of a pruned gallery network a `Pruned`. All are saved as
architecture.json, and `edgecmp train query --architecture` accepts all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_json
from edgecmp.networks import architecture, baselines, pruned
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.baselines import BASELINES, Baseline
from edgecmp.networks.pruned import Pruned

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FORMS", "Form", "form_from_dict", "load_form", "load_searched"]


class Form(Protocol):
    """A frozen dataclass from which a network is built."""

    @property
    def embedding_dim(self) -> int:
        """D of the (N, D) embeddings."""

    @property
    def input_size(self) -> int:
        """Height and width, in pixels, of the images that the network is used on."""

    @property
    def label(self) -> str:
        """A short name for tables, such as a tier or a baseline's name."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON document."""

    def build(self) -> nn.Module:
        """The network with random initial weights; its `architecture` is this form."""

    def resized(self, input_size: int, embedding_dim: int | None = None) -> Form:
        """The same network for images, and if given embeddings, of another size."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, whose "format" names the family."""

    def save(self, path: str | Path) -> Path:
        """Writes the JSON file, atomically."""


FORMS: dict[str, Callable[..., Form]] = {
    architecture.FORMAT: Architecture.from_dict,
    baselines.FORMAT: Baseline.from_dict,
    pruned.FORMAT: Pruned.from_dict,
}
"""The reader of each "format" of a document."""


def form_from_dict(document: Mapping[str, Any], *, source: str = "The architecture") -> Form:
    """Reads what `Form.to_dict` wrote.

    Raises:
        UserError: the format is unknown or a field is wrong; the message names `source`.
    """
    given = document.get("format")
    if given not in FORMS:
        raise UserError(
            f"{source} is not an edgecmp architecture: its format is not "
            f"{' or '.join(map(repr, FORMS))}.",
            "Name the architecture.json that `edgecmp search` wrote.",
        )
    return FORMS[given](dict(document), source=source)


def load_form(name_or_path: str | Path) -> Form:
    """The form in a JSON file or in a folder with an architecture.json, or a baseline by its name.

    Raises:
        UserError: it is none of these, or the file cannot be read.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if not path.exists() and name == path.stem:  # without folder and suffix it is a name
        if name not in BASELINES:
            raise unknown_choice("architecture file or baseline", name, BASELINES)
        return Baseline(name=name)
    if path.is_dir():
        path = path / "architecture.json"
    return form_from_dict(read_json(path, what="an architecture"), source=str(path))


def load_searched(name_or_path: str | Path) -> Architecture:
    """As `load_form`, for commands that need a network of the search space.

    Raises:
        UserError: the form is of another family, or cannot be read.
    """
    form = load_form(name_or_path)
    if not isinstance(form, Architecture):
        raise UserError(
            f"{name_or_path} describes {form.label}, which is not a network of the search space.",
            "Name the architecture.json that `edgecmp search` wrote.",
        )
    return form
