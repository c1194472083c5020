"""Run a step function over a chunk; what the user's code does wrong is a value."""
