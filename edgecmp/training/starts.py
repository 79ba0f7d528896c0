"""Which trained network a training starts from: by its name, its search, or the starter kit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from edgecmp import kit
from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.files import read_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.form import Form
from edgecmp.networks.tiers import TIERS
from edgecmp.progress import say
from edgecmp.training.start_weights import QueryStart, Start, SupernetStart

__all__ = ["KIT", "NONE", "query_start", "supernet_start"]

KIT, NONE = "kit", "none"
"""Names for the starter kit's supernet and for random initial weights, instead of a folder."""

RESULT = "result.json"
"""The file beside a search's architecture.json that records the supernet of the search."""


def supernet_start(given: str | Path | Start | None, *, tier: str) -> Start | None:
    """The supernet that the training of a supernet starts from.

    Args:
        given: the folder of a supernet, "kit" or "none", or an opened start; None: "kit".
        tier: of the supernet that is trained.

    Returns:
        None for random initial weights.

    Raises:
        UserError: `given` is not a supernet, or one of a wider tier.
    """
    if given is None or isinstance(given, Start):
        return given or _kit_start()
    return None if str(given) == NONE else _opened(given, tier)


def query_start(
    architecture: Form,
    *,
    path: Path | None = None,
    supernet: str | Path | None = None,
    start: str | Path | Start | None = None,
) -> Start | None:
    """The network that the training of a query network starts from.

    Args:
        architecture: of the network that is trained.
        path: the file or folder that the architecture was read from, if any.
        supernet: the folder of a supernet, "kit" or "none"; None: that of the search that found the
            architecture, else the starter kit's, if the architecture is one of the search space.
        start: folder of a query network of this architecture, or an opened start, instead.

    Returns:
        None for random initial weights.

    Raises:
        UserError: both are given, or one is of another kind, tier or architecture.
    """
    named = supernet is not None and str(supernet) != NONE
    if start is not None:
        if named:
            raise UserError(
                "A query network starts from a supernet or from another query network, not from "
                "both.",
                "Omit --supernet or --start.",
            )
        return start if isinstance(start, Start) else _query_network(architecture, start)
    if not isinstance(architecture, Architecture):
        if named:
            raise UserError(
                f"A supernet does not contain a {architecture.label}.", "Omit --supernet."
            )
        return None
    if supernet is not None:
        return _opened(supernet, architecture.tier) if named else None
    found = None if path is None else _of_search(path, architecture.tier)
    return found or _kit_start()


def _kit_start() -> Start:
    """The starter kit's supernet, whose tier is the narrowest, so that all can start from it."""
    bundle = _load(kit.path("supernet"))
    return SupernetStart(bundle=bundle, origin="the starter kit's supernet")


def _opened(given: str | Path, tier: str) -> Start:
    """The supernet that was named."""
    if str(given) == KIT:
        return _kit_start()
    bundle = _load(Path(given))
    if _wider(bundle, tier):
        raise UserError(
            f"The supernet in {given} has the tier {bundle.network.tier}, which is wider than "
            f"{tier}, the tier of the network that is trained.",
            f"Name a supernet of the tier {tier} or a narrower one, or {NONE!r} to start from "
            "random weights.",
        )
    return SupernetStart(bundle=bundle, origin=f"the supernet in {given}")


def _of_search(path: Path, tier: str) -> Start | None:
    """The supernet that the search in the folder of an architecture used, if it is still there."""
    folder = path if path.is_dir() else path.parent
    if not (folder / RESULT).exists():
        return None
    recorded = read_json(folder / RESULT, what="the result of a search").get("supernet")
    if not isinstance(recorded, Mapping):
        return None
    place = str(recorded.get("path"))
    where = kit.path("supernet") if place == KIT else Path(os.path.normpath(folder / place))
    try:
        bundle = _load(where)
    except UserError as error:
        say(f"The supernet of the search in {folder} is not used: {error.what}")
        return None
    if bundle.sha256 != recorded.get("sha256") or bundle.network.tier != tier:
        say(f"The supernet in {where} is not used: it was changed since the search in {folder}.")
        return None
    return SupernetStart(bundle=bundle, origin=f"the supernet of the search, in {where}")


def _load(folder: Path) -> SupernetBundle:
    """A supernet, without using the training's random numbers."""
    with torch.random.fork_rng():
        return SupernetBundle.load(folder)


def _wider(bundle: SupernetBundle, tier: str) -> bool:
    """Whether a supernet has channels that the tier does not have."""
    names = list(TIERS)  # the widest first
    return names.index(bundle.network.tier) < names.index(tier)


def _query_network(architecture: Form, folder: str | Path) -> Start:
    with torch.random.fork_rng():
        bundle = QueryBundle.load(folder)
    if bundle.architecture != architecture:
        raise UserError(
            f"{folder} contains a network of another architecture.",
            f"Use --architecture {Path(folder) / 'architecture.json'}, or omit --start.",
        )
    return QueryStart(bundle=bundle)
