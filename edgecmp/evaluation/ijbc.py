"""Evaluates on IJB-C by its 1:1 and 1:N protocols: M(g,g), M(q,q) and M(q,g).

The model of the first letter embeds the probes, that of the second letter the enrolled templates
and the galleries: under qg, probes of the device are searched in galleries of the server.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp import kit
from edgecmp.data.ijbc import (
    AlignedFaces,
    IjbcDescription,
    Protocols,
    read_ijbc,
    template_embeddings,
)
from edgecmp.evaluation.ijbc_embed import embed_faces
from edgecmp.gallery.open import check_pair, open_gallery, open_query
from edgecmp.metrics import (
    closed_set,
    pair_scores,
    search,
    tar_from_scores,
    tar_nearest,
    tpir_insightface,
    tpir_nist,
)
from edgecmp.metrics.exact_search import Embeddings
from edgecmp.report import Report, key_values

__all__ = ["COLUMNS", "IjbcReport", "evaluate_ijbc", "ijbc_shares"]

FARS = {"1e-6": 1e-6, "1e-5": 1e-5, "1e-4": 1e-4, "1e-3": 1e-3, "1e-2": 1e-2, "1e-1": 1e-1}
KS = (1, 5, 10, 20)
FPIRS = {"1e-2": 1e-2, "1e-1": 1e-1}

COLUMNS = (
    "protocol",
    *(f"tar_far{name}" for name in FARS),
    *(f"top{k}" for k in KS),
    *(f"tpir_fpir{name}" for name in FPIRS),
)
"""The columns of the printed table; the JSON document also has the "top*_each" figures."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class IjbcReport(Report):
    """The figures of one query network and one gallery model on IJB-C.

    Attributes:
        rows: one per "protocol" ("gg", "qq", "qg") with the figures of `ijbc_shares` in percent;
            None if the data has too few pairs for a rate.
        query: path of the query network.
        gallery: path of the gallery model.
        data: path of the folder.
        forms: the variant of each figure, in words.
        sizes: numbers of images, templates, pairs, probes and gallery templates.
    """

    rows: list[dict[str, Any]]
    query: str
    gallery: str
    data: str
    forms: dict[str, str]
    sizes: dict[str, int]

    @property
    def compatible(self) -> bool:
        """The compatibility rule M(q,g) > M(q,q) by TPIR@FPIR=1e-1, the paper's face metric."""
        by = {row["protocol"]: row["tpir_fpir1e-1"] for row in self.rows}
        return bool(by["qg"] > by["qq"])

    def shown_columns(self) -> tuple[str, ...]:
        """What fits a screen."""
        return COLUMNS

    def sentences(self) -> list[str]:
        """The variants of the figures, the sizes, and the compatibility rule."""
        rule = "holds" if self.compatible else "does not hold"
        return [
            key_values({**self.forms, "sizes": self.sizes}),
            f"The compatibility rule M(q,g) > M(q,q) {rule} at TPIR@FPIR=1e-1.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp eval --json` writes."""
        return {**asdict(self), "compatible": self.compatible}


def ijbc_shares(
    enrolled: Embeddings,
    probes: Embeddings,
    protocols: Protocols,
    *,
    nearest: bool = False,
    insightface: bool = False,
) -> dict[str, float | None]:
    """All figures of one pair of models.

    Args:
        enrolled: (T, D) template embeddings by the model of the gallery.
        probes: (T, D) template embeddings by the model of the queries.
        protocols: the templates that are compared.
        nearest: use insightface's definition of TAR@FAR.
        insightface: use insightface's definition of TPIR@FPIR.

    Returns:
        "tar_far1e-6".."tar_far1e-1" (None with fewer impostor pairs than 1 / FAR), "top1".."top20",
        "top1_each".."top20_each", "tpir_fpir1e-2" and "tpir_fpir1e-1"; shares in 0..1.

    Raises:
        UserError: the embeddings are not finite, or the subject of every probe is in a gallery.
    """
    tars = _verification(enrolled, probes, protocols, nearest=nearest)
    return tars | _identification(enrolled, probes, protocols, insightface=insightface)


def _verification(
    enrolled: Embeddings, probes: Embeddings, protocols: Protocols, *, nearest: bool
) -> dict[str, float | None]:
    """TAR@FAR of the 1:1 protocol."""
    pairs = protocols.pairs
    scores = pair_scores(enrolled, probes, pairs.enrolled, pairs.probes)
    genuine, impostor = scores[pairs.genuine], scores[~pairs.genuine]
    fars = {name: far for name, far in FARS.items() if far * len(impostor) >= 1}
    tars = (tar_nearest if nearest else tar_from_scores)(genuine, impostor, fars=[*fars.values()])
    return {f"tar_far{name}": tars[far] if name in fars else None for name, far in FARS.items()}


def _identification(
    enrolled: Embeddings, probes: Embeddings, protocols: Protocols, *, insightface: bool
) -> dict[str, float]:
    """Top-k and TPIR@FPIR of the 1:N protocol."""
    queries, subjects = probes[protocols.probes.rows], protocols.probes.subjects
    galleries = [(enrolled[part.rows], part.subjects) for part in (protocols.g1, protocols.g2)]
    merged = tuple(np.concatenate(part) for part in zip(*galleries, strict=True))
    each = [search(queries, subjects, *gallery) for gallery in galleries]
    shares: dict[str, float] = {}
    for ending, searches in (("", [search(queries, subjects, *merged)]), ("_each", each)):
        found = closed_set(searches, ks=KS)
        shares |= {f"top{k}{ending}": found[k] for k in KS}
    if insightface:
        tpirs = tpir_insightface(queries, subjects, *merged, fpirs=[*FPIRS.values()])
    else:
        tpirs = tpir_nist(each, fpirs=[*FPIRS.values()])
    return shares | {f"tpir_fpir{name}": tpirs[fpir] for name, fpir in FPIRS.items()}


def evaluate_ijbc(
    data: IjbcDescription,
    model: str | Path | None = None,
    *,
    gallery: str | Path | None = None,
) -> IjbcReport:
    """Measures one query network and one gallery model by IJB-C's protocols.

    Args:
        data: the folder and the variants of the figures; `find_ijbc` returns it for a path.
        model: path of a query network, as for `open_query`; None: the starter kit's.
        gallery: path of a gallery model, as for `open_gallery`; None: the starter kit's.

    Raises:
        UserError: the folder is incomplete, or the two networks are not compatible.
    """
    models = {
        "q": open_query(model or kit.path("query")),
        "g": open_gallery(gallery or kit.path("gallery")),
    }
    check_pair(models["q"], models["g"])
    ijbc = read_ijbc(data.path)
    faces = embed_faces(AlignedFaces(ijbc), [*models.values()], flip=data.flip, cache=data.cache)
    templates = {
        letter: template_embeddings(
            features,
            ijbc.rows,
            ijbc.faces.media,
            ids=ijbc.template_ids,
            norm=data.norm,
            scores=ijbc.faces.scores if data.detector_score else None,
        )
        for letter, features in zip(models, faces, strict=True)
    }
    rows = []
    for left, right in ("gg", "qq", "qg"):
        shares = ijbc_shares(
            templates[right],
            templates[left],
            ijbc.protocols,
            nearest=data.tar == "nearest",
            insightface=data.tpir == "insightface",
        )
        percent = {
            key: None if share is None else round(100 * share, 2) for key, share in shares.items()
        }
        rows.append({"protocol": left + right, **percent})
    lists = ijbc.protocols
    return IjbcReport(
        rows=rows,
        query=models["q"].name,
        gallery=models["g"].name,
        data=str(data.path),
        forms=data.forms,
        sizes={
            "images": len(ijbc.rows),
            "templates": len(ijbc.template_ids),
            "pairs": len(lists.pairs.genuine),
            "genuine_pairs": int(lists.pairs.genuine.sum()),
            "probes": len(lists.probes.rows),
            "gallery_g1": len(lists.g1.rows),
            "gallery_g2": len(lists.g2.rows),
        },
    )
