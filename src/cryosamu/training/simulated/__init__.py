"""Training maps made from atomic structures while the network learns."""
