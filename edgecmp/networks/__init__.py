"""The networks: choice blocks, query network, supernet, gallery, and what maps one to another."""
