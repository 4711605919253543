"""What people are told: written where it happens, delivered afterwards, once per target."""
