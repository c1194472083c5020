"""The contract of executors, as checks that any executor can be put through."""
