"""Experiments: the old and the new implementation side by side, and the migration from one to the other."""
