"""The systems of tables 1 to 3: the names in the paper and their networks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GALLERY", "SYSTEMS", "System", "system_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One query network of the tables.

    Attributes:
        name: its name in the tables.
        baseline: its name in pytorchcv; None for a searched network.
        tier: tier of the supernet that a searched network comes from; None for a baseline.
    """

    name: str
    baseline: str | None = None
    tier: str | None = None

    @property
    def key(self) -> str:
        """Its name in keys and folders."""
        return self.baseline or f"cmp-nas-{self.tier}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its trainings: two for searched networks, which shows their spread."""
        return (0,) if self.baseline else (0, 1)


GALLERY = "ResNet-101"
"""Name of the gallery model in the tables; in a recipe it may be another network."""

SYSTEMS = (
    System(name="MobileNetV1", baseline="mobilenet_w1"),
    System(name="MobileNetV2", baseline="mobilenetv2_w1"),
    System(name="ProxylessNAS", baseline="proxylessnas_mobile"),
    System(name="CMP-NAS-a", tier="330M"),
    System(name="MobileNetV3", baseline="mobilenetv3_large_w1"),
    System(name="CMP-NAS-b", tier="230M"),
    System(name="MobileNetV1(0.5x)", baseline="mobilenet_wd2"),
    System(name="ShuffleNetV2", baseline="shufflenetv2_w1"),
    System(name="ShuffleNetV1(g=1)", baseline="shufflenet_g1_w1"),
    System(name="MobileNetV2(0.5x)", baseline="mobilenetv2_wd2"),
    System(name="CMP-NAS-c", tier="100M"),
)
"""In the order of the paper."""


def system_of(published: str) -> System | None:
    """The system of a published row; None for the gallery model."""
    name = published.split("(F")[0]  # CMP-NAS-a(Face), CMP-NAS-a(Fashion)
    return next((system for system in SYSTEMS if system.name == name), None)
