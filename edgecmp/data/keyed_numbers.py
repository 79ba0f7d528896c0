"""KeyedNumbers: numbers that follow from an image's key, the same on every machine and for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KeyedNumbers"]

_SPREAD = 147.8
"""Standard deviation of the sum of four bytes: the square root of 4 (256^2 - 1) / 12."""


@dataclass(frozen=True, slots=True)
class KeyedNumbers:
    """Numbers for one key, taken from SHA-256 so that they depend on no library's generator.

    Args:
        key: such as an image's path.
    """

    key: str

    def choice(self, purpose: str, count: int) -> int:
        """A whole number, 0..count-1."""
        return self._hash(purpose) % count

    def uniform(self, purpose: str, low: float, high: float) -> float:
        """A number in low..high.

        Args:
            purpose: what it is for; each purpose has its own number.
            low: the smallest number.
            high: the largest number.
        """
        return low + (high - low) * self._hash(purpose) / 2**64

    def noise(self, purpose: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Roughly normal numbers of mean 0 and standard deviation 1: sums of four bytes."""
        count = int(np.prod(shape))
        raw: NDArray[Any] = np.random.PCG64(self._hash(purpose)).random_raw((count + 1) // 2)
        sums = raw.view(np.uint8).reshape(-1, 4)[:count].sum(1, dtype=np.float32)
        noise: NDArray[np.float32] = (sums - 510) / np.float32(_SPREAD)
        return noise.reshape(shape)

    def _hash(self, purpose: str) -> int:
        digest = hashlib.sha256(f"{purpose}\n{self.key}".encode()).digest()
        return int.from_bytes(digest[:8], "big")
