"""The systems of tables 1 to 3: each name that the paper prints, and the network that it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GALLERY", "SYSTEMS", "System", "system_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One query network of the tables.

    Attributes:
        name: in our tables.
        baseline: its name in pytorchcv, or None for a searched network.
        tier: of the supernet that a searched network comes from, or None.
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
        """Our networks are trained twice, so that their spread is known."""
        return (0,) if self.baseline else (0, 1)


GALLERY = "ResNet-101"
"""What the tables call the gallery model, whatever network it is in a recipe."""

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
"""In the paper's order."""


def system_of(published: str) -> System | None:
    """The system that a published row names; None for the gallery model."""
    name = published.split("(F")[0]  # CMP-NAS-a(Face), CMP-NAS-a(Fashion)
    return next((system for system in SYSTEMS if system.name == name), None)
