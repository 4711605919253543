"""What other programs tell the guard: Alertmanager's alerts, and the signals of services."""
