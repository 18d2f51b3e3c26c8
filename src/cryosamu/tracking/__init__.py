"""What a training leaves for people to follow and compare it by."""
