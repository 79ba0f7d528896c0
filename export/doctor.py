"""`edgecmp doctor`: what this machine can write and run, determined by trying it.

A small network is written for each target in each precision, opened in each runtime that loads the
format, and run. Nothing is installed: what is missing is listed with the command that adds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgecmp.export.doctor_advice import advice_on, machine_facts
from edgecmp.export.doctor_case import installed_version, random_images, try_target
from edgecmp.export.formats.registry import targets
from edgecmp.files import provenance
from edgecmp.progress import progress
from edgecmp.report import Report, key_values
from edgecmp.storage.temporary import temporary_files

__all__ = ["DoctorReport", "doctor"]

PACKAGES = (
    *("edgecmp", "torch", "numpy", "faiss-cpu", "pillow", "onnx", "onnxsim"),
    *("onnxruntime", "ai-edge-litert", "tflite-runtime", "coremltools"),
)


COLUMNS = ("target", "precision", "runtime", "version", "verdict", "cosine", "note")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DoctorReport(Report):
    """What works on this machine.

    Attributes:
        rows: one dictionary per target, precision and runtime: version, verdict ("works", "fails"
            or "not here"), write_s, cosine (the least to torch's embeddings, over random images),
            and note: why it does not work.
        facts: about the machine, by name.
        packages: versions; None if a package is not installed.
        advice: what is missing, and the command or step that adds it.
        provenance: the versions and the command that made the report.
    """

    rows: list[dict[str, Any]]
    facts: dict[str, Any]
    packages: dict[str, str | None]
    advice: list[dict[str, str]]
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def passed(self) -> bool:
        """Whether each target and precision runs in at least one runtime, and fails in none."""
        if any(row["verdict"] == "fails" for row in self.rows):
            return False
        cases = {(row["target"], row["precision"]) for row in self.rows}
        return cases == {
            (row["target"], row["precision"]) for row in self.rows if row["verdict"] == "works"
        }

    @property
    def installed(self) -> list[str]:
        """Packages with their versions, as text."""
        return [f"{name} {version or 'not installed'}" for name, version in self.packages.items()]

    def heading(self) -> str:
        """The machine and its packages."""
        return key_values({**self.facts, "packages": self.installed}) + "\n "

    def shown_columns(self) -> tuple[str, ...]:
        """What fits a screen."""
        return COLUMNS

    def sentences(self) -> list[str]:
        """What is missing, and the verdict."""
        works = "can be" if self.passed else "cannot all be"
        return [
            *(f"\n{item['missing']}\n  {item['add']}" for item in self.advice),
            f"\nThe targets and precisions {works} written and run here.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `--json`."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "facts": self.facts,
            "packages": self.packages,
            "advice": self.advice,
            "provenance": self.provenance,
        }


def doctor() -> DoctorReport:
    """Tries every target, precision and runtime on this machine.

    Raises:
        UserError: the system's folder for temporary files cannot be written.
    """
    images = random_images()
    cases = [
        (target, precision) for target in targets().values() for precision in target.precisions
    ]
    rows: list[dict[str, Any]] = []
    with temporary_files() as folder, progress("Trying", total=len(cases), unit="precision") as bar:
        for target, precision in cases:
            rows += try_target(target, precision, images, folder)
            bar.advance()
    facts = machine_facts()
    return DoctorReport(
        rows=rows,
        facts=facts,
        packages={name: installed_version(name) for name in PACKAGES},
        advice=advice_on(rows, facts),
    )
