"""The demo: a million generated orders, and their workflow."""
