"""protocol_of: whether figures are of unseen identities, or of a gallery that the training knew."""

from __future__ import annotations

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import Retrieval
from edgecmp.data.protocol_names import GALLERY_KNOWN, IDENTITIES_UNSEEN, ProtocolName
from edgecmp.networks.embed import Embedder
from edgecmp.networks.onnx_network import OnnxModel

__all__ = ["protocol_of"]


def protocol_of(model: Embedder, task: Retrieval) -> ProtocolName:
    """The protocol of a query network's figures on a task.

    A bundle lists by content which images without labels it was trained on, and they are compared
    with those of the task. An exported file says only whether there were gallery images among them,
    so that its figures count as "gallery known" on all data.

    Raises:
        UserError: the network was trained on a query of the task.
    """
    if isinstance(model, QueryBundle) and model.seen is not None:
        return model.seen.protocol_of(task, network=model.name)
    if isinstance(model, OnnxModel) and model.protocol_name == GALLERY_KNOWN:
        return GALLERY_KNOWN
    return IDENTITIES_UNSEEN
