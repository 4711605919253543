"""People and tokens at the edge: the routes and commands on what `platform/auth` holds."""
