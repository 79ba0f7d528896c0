"""Types of fields in documents from outside: numbers that are numbers, and sizes of images."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator

__all__ = ["Colours", "Integer", "Size", "Triple"]

Integer: TypeAlias = Annotated[int, Field(strict=True)]
"""Neither a text with digits nor true or false."""

Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]

Triple: TypeAlias = tuple[Number, Number, Number]
"""One finite number for each channel."""

Colours: TypeAlias = tuple[Integer, Integer, Integer]
"""Red, green and blue."""


def _size(value: Any) -> tuple[int, int]:
    """Height and width of `224` or `[112, 96]`."""
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or any(type(length) is not int for length in pair):
        raise ValueError("it is neither a whole number of pixels nor [height, width]")
    return pair[0], pair[1]


Size: TypeAlias = Annotated[tuple[int, int], PlainValidator(_size)]
"""The side of a square in pixels, or height and width."""
