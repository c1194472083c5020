"""Execute a step over a chunk; an error of the user's code becomes a value."""
