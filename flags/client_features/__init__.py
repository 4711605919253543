"""Client features in memory: each environment's flags, prepared once per change for SDKs."""
