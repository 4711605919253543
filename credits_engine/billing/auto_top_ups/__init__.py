"""Packs that an account buys by itself at Stripe when it runs short, as often as it allows."""
