"""After a rollback: what v2 served in the bad time, what that cost whom, and the corrections an owner approves."""
