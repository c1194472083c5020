"""Stands before pandas where it is installed, as PyArrow would import it in each life."""

raise ImportError("the crash driver does without pandas")
