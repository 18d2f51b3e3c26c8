"""Enhancing whole maps: from a map in its own frame to an enhanced map in the same frame."""
