"""A fault on purpose: a flag that serves nobody breaks, and the running guard is timed until it has rolled it back."""
