"""What people do to accounts, and what they look up about them."""
