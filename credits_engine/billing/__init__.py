"""Billing: what Stripe tells reaches the credits exactly once, in whatever order and number it is delivered."""
