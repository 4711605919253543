"""Our word against Stripe's: compared daily and on demand, and kept where they differ."""
