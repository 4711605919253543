"""The routes of the credits, and the card."""
