"""All SQL of billing. Every function takes the caller's session first; locks are held until its transaction ends.

Whoever locks takes the customer first, then the account, then v2's counters, so that no two wait in a circle.
"""
