"""IJB-C: faces in templates, with the 1:1 and 1:N protocols of its release."""

from edgecmp.data.ijbc.align import align, similarity
from edgecmp.data.ijbc.description import IjbcDescription, find_ijbc
from edgecmp.data.ijbc.images import AlignedFaces
from edgecmp.data.ijbc.layout import Ijbc, Pairs, Protocols, Roster, read_ijbc
from edgecmp.data.ijbc.templates import template_embeddings

__all__ = [
    "AlignedFaces",
    "Ijbc",
    "IjbcDescription",
    "Pairs",
    "Protocols",
    "Roster",
    "align",
    "find_ijbc",
    "read_ijbc",
    "similarity",
    "template_embeddings",
]
