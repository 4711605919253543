"""Changes of flags by people: overrides, definitions, users. Each is audited and announced."""
