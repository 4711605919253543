"""Reports of clients: connections, counts of evaluations, impact metrics."""
