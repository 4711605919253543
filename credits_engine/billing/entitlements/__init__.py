"""Entitlements from facts: subscriptions, prices, purchases, and the periods that follow."""
