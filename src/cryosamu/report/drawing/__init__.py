"""Pictures of maps and models: surfaces, backbone traces and slices, as arrays of pixels."""
