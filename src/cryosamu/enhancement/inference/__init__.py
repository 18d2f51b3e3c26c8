"""A network over a whole map: precision, memory, windows, solvent, rotations, forecast."""
