"""The server's side: gallery models of any kind, their embeddings, and the index of them."""
