"""Questions to a store, and what they answer."""
