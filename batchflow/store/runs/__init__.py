"""Selecting and changing runs by the set: claims, commits, holds, pruning."""
