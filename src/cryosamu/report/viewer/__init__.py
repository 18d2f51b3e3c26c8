"""The page's view in three dimensions: what it is given, and how that is packed."""
