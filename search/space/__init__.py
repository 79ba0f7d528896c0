"""The architectures of a tier under bounds: FLOPs, latency, counting and uniform sampling."""
