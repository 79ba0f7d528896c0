"""How an IJB-C folder is evaluated: a small TOML file, or the folder alone for the defaults.

    format = "ijbc"
    path = "IJBC"              # the folder with loose_crop/ and meta/, relative to this file
    flip = true                # add the embedding of the mirrored face
    norm = false               # scale each image's feature to unit length before they are averaged
    detector_score = true      # weigh each image by the face detector's score
    tar = "at-most"            # or "nearest": see edgecmp.metrics.nearest
    tpir = "nist"              # or "insightface": see edgecmp.metrics.open_set
    cache = "runs/ijbc"        # keeps embeddings, so that a run that was killed goes on

All keys but the first two are optional; the values above are the defaults, but for `cache`, which
is off. flip, norm and detector_score stand as in insightface's scripts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from edgecmp.documents import parse_document, peek_toml

__all__ = ["FORMAT", "IjbcDescription", "find_ijbc"]

FORMAT = "ijbc"


class IjbcDescription(BaseModel):
    """What the file says; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["ijbc"] = "ijbc"
    path: Path
    flip: bool = True
    norm: bool = False
    detector_score: bool = True
    tar: Literal["at-most", "nearest"] = "at-most"
    tpir: Literal["nist", "insightface"] = "nist"
    cache: Path | None = None

    @property
    def forms(self) -> dict[str, str]:
        """In words: how images become templates, and by which rules the figures are read."""
        switches = {"flip": self.flip, "norm": self.norm, "detector score": self.detector_score}
        return {
            "templates": ", ".join(f"{key} {'on' if on else 'off'}" for key, on in switches.items())
            + "; media averaged, summed, unit length",
            "tar_far": {
                "at-most": "largest TAR whose FAR is at most the target",
                "nearest": "corner of the ROC curve nearest to the target (insightface)",
            }[self.tar],
            "top": "G1 and G2 merged, over all probes; top*_each: each gallery searched alone, "
            "hits added",
            "tpir_fpir": {
                "nist": "NIST: threshold by non-mated probes, mate first and above it, mean of G1 "
                "and G2",
                "insightface": "insightface: G1 and G2 merged, threshold by impostor pairs, mate "
                "above it",
            }[self.tpir],
        }


def find_ijbc(data: str | Path) -> IjbcDescription | None:
    """The description of the IJB-C folder that `data` is or describes; None if it is other data.

    Raises:
        UserError: a .toml file says that it is IJB-C and is wrong otherwise.
    """
    path = Path(data)
    if any((path / "meta").glob("ijbc_*")):
        return IjbcDescription(path=path)
    if path.suffix.lower() != ".toml" or not path.is_file():
        return None
    document = peek_toml(path)
    return _described(path, document) if document.get("format") == FORMAT else None


def _described(file: Path, document: dict[str, Any]) -> IjbcDescription:
    """The description in `document`, its paths relative to the working directory."""
    described = parse_document(
        IjbcDescription,
        document,
        refusal=f"{file} does not describe an IJB-C folder",
        way_out="See docs/faces.md for its keys.",
        keys_of=file,
    )
    moved = {"path": file.parent / described.path}
    if described.cache is not None:
        moved["cache"] = file.parent / described.cache
    return described.model_copy(update=moved)
