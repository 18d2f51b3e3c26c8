"""Judging maps against models: correlation, Fourier shell correlation, methods side by side."""
