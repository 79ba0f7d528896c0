"""Quantisation of a lowered network on real images, to 8-bit integers or to float16."""
