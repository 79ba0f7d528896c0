"""How an image becomes a network's input: one definition for training, export and devices."""

from edgecmp.preprocessing.definition import Colour, Preprocessing

__all__ = ["Colour", "Preprocessing"]
