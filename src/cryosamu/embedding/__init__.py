"""Structure embeddings: a pre-trained encoder a chain, pooled to a fixed number of tokens."""
