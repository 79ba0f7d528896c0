"""From a lowered network and real images to 8-bit integers, for the writers that store them."""
