"""Background work and limits: jobs, leases, the change feed, concurrency, commands."""
