"""How workflows lie in a store's file, and how a file becomes what they are now."""
