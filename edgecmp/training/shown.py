"""Shown: a batch as the networks see it: the phone's inputs, and what the gallery model reads.

A gallery model that prepares images as the phone does reads the phone's inputs. Another one gets
the same originals with the same changes in its own frame (`TeacherImages`). With fixed views the
gallery model's embeddings are known already (see `edgecmp.training.views`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgecmp.training.draws import Draws
from edgecmp.training.pictures import Picture, TwoFrames, canvas_of

__all__ = ["Blend", "Shown", "TeacherImages"]

PIXELS_AT_ONCE = 2**22
"""Pixels of the pictures that are changed at a time, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Blend:
    """The blending of the first B images of a batch.

    Attributes:
        directions: (B,) int64, 0..7: quarter turns, and from 4 on mirrored after that.
        shares: (B, 1, 1, 1), 0..1, of the next image in each.
    """

    directions: Tensor
    shares: Tensor

    @classmethod
    def drawn(cls, count: int, generator: torch.Generator) -> Blend:
        """The blending of `count` images."""
        shares = torch.rand(count, 1, 1, 1, generator=generator)
        return cls(torch.randint(8, (count,), generator=generator), shares)

    def __len__(self) -> int:
        return len(self.directions)

    def of(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S), of which the first B are turned, mirrored and blended."""
        turned = images[: len(self)].clone()
        for value in range(1, 8):
            chosen = self.directions == value
            rotated = images[: len(self)][chosen].rot90(value % 4, (2, 3))
            turned[chosen] = rotated.flip(3) if value >= 4 else rotated
        return self.mixed(turned, images)

    def mixed(self, turned: Tensor, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) whose first B are blends of the turned ones (B, 3, H, W)."""
        images = images.clone()
        images[: len(self)] = torch.lerp(turned, turned.roll(-1, 0), self.shares)
        return images

    def turns(self, count: int) -> Tensor:
        """(count, 2, 2), from a point of a turned image to the point that it shows, in -1..1."""
        quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        maps, turned = [], torch.eye(2)
        for _ in range(4):
            maps.append(turned)
            turned = quarter @ turned
        maps += [turned @ torch.diag(torch.tensor([-1.0, 1.0])) for turned in maps]
        turns = torch.eye(2).repeat(count, 1, 1)
        turns[: len(self)] = torch.stack(maps)[self.directions]
        return turns


@dataclass(frozen=True, slots=True)
class TeacherImages:
    """What a gallery model with its own preprocessing sees of N images.

    Attributes:
        pictures: of the originals.
        frames: how they are prepared.
        draws: the changes of the phone's images; None: there are none.
        blend: the blending of the first of them; None: there is none.
    """

    pictures: Sequence[Picture]
    frames: TwoFrames
    draws: Draws | None
    blend: Blend | None = None

    def of(self, rows: Tensor | slice) -> TeacherImages:
        """Those of some rows, (n,) int64 or a slice, which must not be blended."""
        if isinstance(rows, slice):
            pictures = self.pictures[rows]
        else:
            pictures = [self.pictures[row] for row in rows.tolist()]
        draws = None if self.draws is None else self.draws.of(rows)
        return TeacherImages(pictures, self.frames, draws)

    @torch.no_grad()
    def planes(self) -> Tensor:
        """The images, float32 (N, 3, H, W) in 0..255, RGB."""
        if self.draws is None:
            return self._unchanged()
        teacher = self.frames.teacher
        turns = None if self.blend is None else self.blend.turns(len(self.pictures))
        parts, start = [], 0
        with torch.autocast("cpu", enabled=False):
            while start < len(self.pictures):
                stop = self._end_of_part(start)
                rows = slice(start, stop)
                pictures = self.pictures[rows]
                frames = self.frames.frames(pictures, None if turns is None else turns[rows])
                canvas = canvas_of(pictures, teacher.size, teacher.background)
                parts.append(self.draws.of(rows).apply_to(canvas, frames, teacher.background))
                start = stop
            planes = torch.cat(parts)
            if self.blend is None:
                return planes
            return self.blend.mixed(planes[: len(self.blend)], planes)

    def _unchanged(self) -> Tensor:
        """The images as the gallery model's own preprocessing makes them."""
        teacher = self.frames.teacher
        high, wide = teacher.size
        parts = []
        for picture in self.pictures:
            canvas = canvas_of([picture], teacher.size, teacher.background)
            top, left = (canvas.shape[1] - high) // 2, (canvas.shape[2] - wide) // 2
            parts.append(canvas[:, top : top + high, left : left + wide])
        return torch.cat(parts).permute(0, 3, 1, 2).float()

    def _end_of_part(self, start: int) -> int:
        """The end of the longest part from `start` whose pictures may be changed at a time."""
        high, wide = self.frames.teacher.size
        stop = start
        while stop < len(self.pictures):
            shape = self.pictures[stop].pixels.shape
            high, wide = max(high, shape[0]), max(wide, shape[1])
            if stop > start and (stop + 1 - start) * high * wide > PIXELS_AT_ONCE:
                break
            stop += 1
        return stop


@dataclass(frozen=True, slots=True)
class Shown:
    """A batch of N images.

    Attributes:
        images: the query network's inputs, (N, 3, S, S), normalised.
        indices: training indices (N,).
        teacher: the gallery model's images, if it prepares images differently and is asked.
        targets: what the query network learns of them (N, D), where that is known already.
    """

    images: Tensor
    indices: Tensor
    teacher: TeacherImages | None = None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def of(self, rows: Tensor | slice) -> Shown:
        """Some rows of the batch, (n,) int64 or a slice, which must not be blended."""
        return Shown(
            self.images[rows],
            self.indices[rows],
            None if self.teacher is None else self.teacher.of(rows),
            None if self.targets is None else self.targets[rows],
        )

    def chunks(self, count: int) -> list[Shown]:
        """The batch in at most `count` parts, as `torch.chunk` divides it."""
        size = -(-len(self) // count)
        return [self.of(slice(start, start + size)) for start in range(0, len(self), size)]

    def blended(self, blend: Blend) -> Shown:
        """The batch with its first images blended, for both networks."""
        teacher = self.teacher
        if teacher is not None:
            teacher = TeacherImages(teacher.pictures, teacher.frames, teacher.draws, blend)
        return Shown(blend.of(self.images), self.indices, teacher, self.targets)
