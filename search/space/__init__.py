"""The architectures of a tier under bounds on FLOPs and latency: counting and uniform sampling."""
