"""What the program reports about itself: signals for the guard, metrics, logs."""
