"""Atomic models through gemmi: chains, backbone, composition, sequences, simulated density."""
