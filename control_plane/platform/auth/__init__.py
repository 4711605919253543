"""Authentication and authorization: accounts, tokens, sessions, roles, and the audit trail."""
