"""The server side: gallery models, tables of their embeddings, and gallery indexes."""
