"""The runs of a store: backlog, claims, commits, control, edits and pruning."""
