"""Training: crops of prepared pairs, the loop, its state, and what continues what."""
