"""Architecture: the shape of a query network, which every stage passes to the next."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecmp.errors import UserError
from edgecmp.files import read_json, sha256_json, write_json
from edgecmp.networks.sizes import check_sizes
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS, tier

if TYPE_CHECKING:
    from edgecmp.networks.query import QueryNet

__all__ = ["Architecture"]

FORMAT = "edgecmp-architecture/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The shape of a query network: 40 genes, tier, embedding dimension and input size.

    Attributes:
        tier: "330M", "230M" or "100M".
        blocks: 20 block indices, 0-3 (see `BLOCKS`).
        widths: 20 width indices, 0-9 (see `WIDTHS`).
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width, in pixels, of the images that the network is used on.

    Raises:
        UserError: there is no such tier, or a gene or size is out of range.
    """

    tier: str
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    embedding_dim: int = 128
    input_size: int = 224

    def __post_init__(self) -> None:
        tier(self.tier)
        for noun, genes, choices in (
            ("blocks", self.blocks, len(BLOCKS)),
            ("widths", self.widths, len(WIDTHS)),
        ):
            if len(genes) != DEPTH or any(
                type(g) is not int or not 0 <= g < choices for g in genes
            ):
                raise UserError(
                    f"An architecture has {DEPTH} {noun} between 0 and {choices - 1}, "
                    f"not {list(genes)}.",
                    "Correct the list, or name the architecture.json that `edgecmp search` wrote.",
                )
        check_sizes(self.embedding_dim, self.input_size)

    @classmethod
    def random(
        cls, tier: str, *, seed: int, embedding_dim: int = 128, input_size: int = 224
    ) -> Architecture:
        """A sample of the space, with block and width uniform in each layer (supplement A.2)."""
        generator = random.Random(seed)
        return cls(
            tier=tier,
            blocks=tuple(generator.randrange(len(BLOCKS)) for _ in range(DEPTH)),
            widths=tuple(generator.randrange(len(WIDTHS)) for _ in range(DEPTH)),
            embedding_dim=embedding_dim,
            input_size=input_size,
        )

    @classmethod
    def from_dict(
        cls, document: dict[str, Any], *, source: str = "The architecture"
    ) -> Architecture:
        """Reads what `to_dict` wrote.

        Raises:
            UserError: a field is missing or out of range; the message names `source`.
        """
        wanted = ("tier", "blocks", "widths", "embedding_dim", "input_size")
        missing = [name for name in wanted if name not in document]
        if document.get("format") != FORMAT or missing:
            detail = (
                f"it lacks {', '.join(missing)}" if missing else f"its format is not {FORMAT!r}"
            )
            raise UserError(
                f"{source} is not an edgecmp architecture: {detail}.",
                "Name the architecture.json that `edgecmp search` wrote.",
            )
        blocks, widths = document["blocks"], document["widths"]
        sizes = (document["embedding_dim"], document["input_size"])
        if (
            not isinstance(blocks, list)
            or not isinstance(widths, list)
            or {*map(type, sizes)} != {int}
        ):
            raise UserError(
                f"{source} is not an edgecmp architecture: its genes are not lists of integers.",
                "Name the architecture.json that `edgecmp search` wrote.",
            )
        return cls(
            tier=str(document["tier"]),
            blocks=tuple(blocks),
            widths=tuple(widths),
            embedding_dim=sizes[0],
            input_size=sizes[1],
        )

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Reads an architecture from a JSON file, or from a folder with an architecture.json."""
        path = Path(path)
        if path.is_dir():
            path = path / "architecture.json"
        return cls.from_dict(read_json(path, what="an architecture"), source=str(path))

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that `from_dict` reads."""
        document = asdict(self)
        document["blocks"], document["widths"] = list(self.blocks), list(self.widths)
        return {"format": FORMAT, **document}

    def save(self, path: str | Path) -> Path:
        """Writes the JSON file, atomically."""
        return write_json(path, self.to_dict())

    @property
    def genes(self) -> Sequence[int]:
        """The 40 genes: 20 blocks, then 20 widths."""
        return (*self.blocks, *self.widths)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON document, by which other artefacts refer to the architecture."""
        return sha256_json(self.to_dict())

    @property
    def label(self) -> str:
        """The tier: the name in tables."""
        return self.tier

    def resized(self, input_size: int, embedding_dim: int | None = None) -> Architecture:
        """The same network for images, and if given embeddings, of another size."""
        return replace(
            self, input_size=input_size, embedding_dim=embedding_dim or self.embedding_dim
        )

    def build(self) -> QueryNet:
        """The network of this shape with random initial weights."""
        from edgecmp.networks.query import QueryNet

        return QueryNet(self)
