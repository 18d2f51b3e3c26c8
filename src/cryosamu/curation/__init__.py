"""Which map-model pairs are fit to learn from: filters, clustering, measurement, split."""
