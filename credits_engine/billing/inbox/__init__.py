"""Stripe's deliveries: signature, inbox, worker, and the handler that turns an event into facts."""
