"""The load test of an installation in which nobody is exposed yet."""
