"""What runs beside the requests or bounds them: jobs, leases, the change feed, limits, commands."""
