"""What people change about flags: overrides, definitions, users. Each change is audited and announced."""
