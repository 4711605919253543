"""Tests of plans as documents, and of their changes."""
