"""`alerts.yaml`: read with every mistake and its line, kept up to date, explained, and played against scenarios."""
