"""relay's own loops on virtual time, in a world made of faults that a seed repeats exactly."""
