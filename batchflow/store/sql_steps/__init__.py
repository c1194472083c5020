"""Steps that are executed in the store."""
