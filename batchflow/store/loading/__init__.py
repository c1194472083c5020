"""Starting a run for each row of a source."""
