"""Notifications to people: stored with the change, delivered afterwards, once per target."""
