"""ESM-IF1's encoder (Hsu et al. 2022) from fair-esm 2.0.0, free of its dead dependencies."""
