"""The daemon at work for a long time, with everything around it misbehaving: does anything grow? `make soak`."""
