"""What is seen in a map, its model and its half maps before it is enhanced."""
