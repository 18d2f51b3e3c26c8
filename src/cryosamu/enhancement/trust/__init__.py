"""What to believe of an enhanced map: confidence, half maps, what must not be lost."""
