"""After a rollback: what v2 served during the incident, what that cost whom, and the corrections an owner approves."""
