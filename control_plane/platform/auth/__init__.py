"""Who calls and what they may do: accounts, tokens, sessions, roles, the audit trail."""
