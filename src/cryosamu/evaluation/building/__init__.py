"""How much of a model can be built from a map: builders run, their models compared."""
