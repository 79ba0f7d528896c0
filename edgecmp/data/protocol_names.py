"""The two protocols of an evaluation, by what a query network was trained on.

"identities unseen": no image of an identity of the test split was trained on. "gallery known": the
gallery's own images were, without their identities, as is possible where the gallery is known
before the network is trained. Figures of the two cannot be compared.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

__all__ = ["GALLERY_KNOWN", "IDENTITIES_UNSEEN", "KNOWN_SENTENCE", "ProtocolName"]

ProtocolName: TypeAlias = Literal["identities unseen", "gallery known"]
"""The names, as tables and JSON have them."""

IDENTITIES_UNSEEN: Final = "identities unseen"
GALLERY_KNOWN: Final = "gallery known"

KNOWN_SENTENCE: Final = (
    f'The network was trained on images of the gallery, so the protocol is "{GALLERY_KNOWN}": its '
    f'figures must not be compared with those of "{IDENTITIES_UNSEEN}".'
)
