"""Training of gallery models, supernets and query networks, from recipes."""
