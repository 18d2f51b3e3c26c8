"""EMDB and RCSB clients, careful downloads, and a small archive of the same shape to serve."""
