"""Observability: signals for the guard, metrics, logs."""
