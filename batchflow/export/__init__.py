"""Exports of runs, transitions and errors to files, to URLs and to databases."""
