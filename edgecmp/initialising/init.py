"""Looks at a user's data and gallery model, and writes the descriptions that commands read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.artefacts.kind import artefact_kind
from edgecmp.data import DATASETS, Dataset, load_dataset
from edgecmp.data.description import DESCRIPTION_SUFFIX, DataDescription
from edgecmp.data.formats import format_of
from edgecmp.errors import UserError
from edgecmp.initialising.findings import Findings, look_at
from edgecmp.initialising.texts import data_text, gallery_text, recipe_text
from edgecmp.networks.onnx_file import OnnxFile
from edgecmp.report import Report
from edgecmp.storage import write_folder

__all__ = ["InitReport", "initialise"]

DATA, GALLERY, RECIPE = "data.toml", "gallery.toml", "recipe.toml"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class InitReport(Report):
    """What was found, and the files that were written.

    Attributes:
        findings: about the data.
        data: the description of the data.
        recipe: the recipe.
        gallery: the gallery model to name with --gallery: its new description, or the path that was
            given; None if none was.
        described: whether the description of the gallery model is new.
    """

    findings: Findings
    data: Path
    recipe: Path
    gallery: Path | None
    described: bool

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was looked for, and what was found."""
        return [{"what": what, "found": found} for what, found in self.findings.lines]

    def sentences(self) -> list[str]:
        """What to do next."""
        check = [f"Check every line of {self.gallery} before it is used."] if self.described else []
        if self.gallery is None:
            return [f"Next: edgecmp train gallery --data {self.data} --recipe {self.recipe}"]
        return [*check, f"Next: edgecmp run --gallery {self.gallery} --data {self.data}"]

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        found = {"the description of the data": self.data, "the recipe": self.recipe}
        if self.described and self.gallery is not None:
            found["the description of the gallery model"] = self.gallery
        return found

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp init --json` writes."""
        written = {what: str(path) for what, path in self.written().items()}
        return {"rows": self.rows, "written": written}


def initialise(
    path: str | Path,
    *,
    out: str | Path,
    gallery: str | Path | None = None,
    force: bool = False,
) -> InitReport:
    """Looks at data and writes data.toml, recipe.toml and, for an ONNX file, gallery.toml.

    Args:
        path: the user's data, as `load_dataset` takes it, but not the name of an embedded set.
        out: folder for the files.
        gallery: the gallery model; described if it is an ONNX file without a description.
        force: replace files that are there.

    Raises:
        UserError: the path is an address or has no data that can be read, the gallery model is no
            artefact, or one of the files is there already.
    """
    _refuse_address(path)
    out = Path(out)
    file = None if gallery is None else _undescribed(Path(gallery))
    names = [DATA, RECIPE] if file is None else [DATA, GALLERY, RECIPE]
    there = [name for name in names if (out / name).exists()]
    if there and not force:
        raise UserError(
            f"{out} already contains {' and '.join(there)}.",
            "Name another folder with --out, or replace them with --force.",
        )
    described, keys, options = _described(path)
    dataset, unreadable = _loaded(path, described, keys, options)
    if unreadable:
        keys = {**keys, "on_bad_image": "skip"}
    findings = look_at(dataset)
    texts = {
        DATA: data_text(described.path, keys, options, findings, folder=out, unreadable=unreadable),
        RECIPE: recipe_text(findings),
    }
    if file is not None:
        texts[GALLERY] = gallery_text(file, folder=out)
    write_folder(out, {name: text.encode() for name, text in texts.items()})
    named = out / GALLERY if file is not None else gallery
    return InitReport(
        findings=findings,
        data=out / DATA,
        recipe=out / RECIPE,
        gallery=None if named is None else Path(named),
        described=file is not None,
    )


def _refuse_address(path: str | Path) -> None:
    """Refuses addresses, and the names of embedded sets."""
    name = str(path)
    if "://" in name:
        raise UserError(
            f"{name} is an address, and edgecmp reads local files only.",
            "Download the images, and name their folder.",
        )
    if name in DATASETS:
        raise UserError(
            f"{name} is a data set of edgecmp, which needs no description.",
            f"Use it as it is: --data {name}.",
        )


def _undescribed(gallery: Path) -> OnnxFile | None:
    """The gallery model, opened, if it is an ONNX file without a description; None otherwise.

    Raises:
        UserError: there is no artefact, or it is a file of a phone's network.
    """
    kind = artefact_kind(gallery)
    if kind not in ("gallery", "index", "description", "model file"):
        raise UserError(
            f"{gallery} is a {kind}, not a gallery model.",
            "Name a gallery model: its folder, an .onnx file, or a .toml file that describes it.",
        )
    if kind != "model file" or gallery.with_suffix(".toml").exists():
        return None
    file = OnnxFile(gallery)
    if file.document is not None:
        raise UserError(
            f"{gallery} is an exported query network, not a gallery model.",
            "Name the gallery model that the query network is compatible with.",
        )
    return file


def _described(path: str | Path) -> tuple[DataDescription, Mapping[str, Any], list[str]]:
    """A description of the data, the keys that it has already, and those that its format accepts.

    Raises:
        UserError: no format recognises the path.
    """
    place = Path(path)
    described = DataDescription.model_validate({"path": place})
    if place.suffix.lower() == DESCRIPTION_SUFFIX and place.is_file():
        described = DataDescription.load(place)
    found = format_of(described)
    if found is None:
        load_dataset(path)  # which says why
        raise AssertionError(path)
    keys = described.model_dump(exclude={"path"}, exclude_unset=True, exclude_none=True)
    return described, keys, sorted(found[0].options)


def _loaded(
    path: str | Path,
    described: DataDescription,
    keys: Mapping[str, Any],
    options: list[str],
) -> tuple[Dataset, str]:
    """The data, and why some images cannot be read; empty if all can.

    Raises:
        UserError: the data cannot be read, even without those images.
    """
    try:
        return load_dataset(path), ""
    except UserError as error:
        if "on_bad_image" in keys or "on_bad_image" not in options:
            raise
        try:
            return load_dataset(path, on_bad_image="skip"), error.what
        except UserError:
            raise error from None
