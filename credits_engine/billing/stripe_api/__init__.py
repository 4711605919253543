"""Stripe's objects and its API: JSON fields, events of every version, look-ups, reconciliation."""
