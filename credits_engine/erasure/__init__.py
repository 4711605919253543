"""Erasure: a person's data is made that of a pseudonym everywhere, and every sum stays as it was."""
