"""Checklists: what has to be done before a phase is left, ticked by checks or signed by people."""
