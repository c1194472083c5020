"""A million made-up orders, and the workflow that they go through."""
