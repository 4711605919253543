"""Reports of other programs: Alertmanager's alerts and the signals of services."""
