"""How to evaluate an IJB-C folder: a small TOML file, or just the folder for the defaults.

    format = "ijbc"
    path = "IJBC"              # the folder with loose_crop/ and meta/, relative to this file
    flip = true                # add the embedding of the mirrored face
    norm = false               # scale each image's feature to unit length before averaging
    detector_score = true      # weight each image by the face detector's score
    tar = "at-most"            # or "nearest": see edgecmp.metrics.nearest
    tpir = "nist"              # or "insightface": see edgecmp.metrics.open_set
    cache = "runs/ijbc"        # keep embeddings, so that an interrupted run resumes

All keys but the first two are optional. The values above are the defaults, except that there is no
cache by default; flip, norm and detector_score have the defaults of insightface's scripts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgecmp.documents import peek_toml, read_description

__all__ = ["FORMAT", "IjbcDescription", "find_ijbc"]

FORMAT = "ijbc"


class IjbcDescription(BaseModel):
    """The keys of the file; see the module's docstring."""

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
        """In words: how images become templates, and the rule behind each figure."""
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
    """The description of the IJB-C folder that `data` is or describes; None for other data.

    Raises:
        UserError: a .toml file has the format "ijbc", but another of its keys is wrong.
    """
    path = Path(data)
    if any((path / "meta").glob("ijbc_*")):
        return IjbcDescription(path=path)
    if path.suffix.lower() != ".toml" or not path.is_file():
        return None
    if peek_toml(path).get("format") != FORMAT:
        return None
    return read_description(
        IjbcDescription,
        path,
        what="an IJB-C folder",
        way_out="See docs/how-to/ijbc.md for its keys.",
        paths=("path", "cache"),
    )
