"""A map as an array with a frame: reading and writing, grids, filters, windows."""
