"""The books held against the journal: on schedule, on demand, and after each rollback."""
