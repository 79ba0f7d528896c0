"""Networks: choice blocks, query networks, supernets, gallery networks and conversions."""
