"""The ground every package stands on: settings, database, audit, change feed, signals, leases, people."""
