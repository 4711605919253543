"""What this process gives to SDKs: each environment's flags, prepared once per change and served from memory."""
