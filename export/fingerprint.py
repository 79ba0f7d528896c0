"""The fingerprint of the lowering, which tells whether measured latencies are still valid."""

from __future__ import annotations

import hashlib
from functools import cache

import torch

from edgecmp.export.formats.tflite.graph import write_graph
from edgecmp.export.lowering import lower
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH

__all__ = ["lowering_fingerprint"]


@cache
def lowering_fingerprint() -> str:
    """SHA-256 of TFLite files of networks with zero weights.

    It changes with every change to the lowering or to the writer that may change the speed.
    """
    digest = hashlib.sha256()
    for block in range(len(BLOCKS)):
        architecture = Architecture(
            tier="100M", blocks=(block,) * DEPTH, widths=(4,) * DEPTH, input_size=64
        )
        network = architecture.build()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        for integers in (False, True):
            graph = lower(network, integers=integers).graph
            digest.update(write_graph(graph, metadata={}))
    return digest.hexdigest()
