"""Steps that are executed where the runs lie."""
