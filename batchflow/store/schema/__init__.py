"""The tables of workflows in a store, and how they are created, upgraded and migrated."""
