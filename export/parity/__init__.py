"""`edgecmp parity`: does an exported file find what the network finds, and if not, why?"""
