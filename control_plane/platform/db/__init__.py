"""SQLite and PostgreSQL: sessions, the connection pool and the statements of the hot paths."""
