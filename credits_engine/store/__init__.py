"""All SQL of the credits. Every function takes the caller's session first; locks are held until its transaction ends.

Whoever locks rows of one user locks v2's first and legacy's second, so that two operations never wait in a circle.
"""
