"""The audit trail at the edge: searched, exported, verified and sealed by routes and commands."""
