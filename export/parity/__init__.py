"""`edgecmp parity`: does an exported file retrieve what the network retrieves, and if not, why?"""
