"""Evaluation of flags under a rollout, with reasons: pure, without a framework, a database or a clock."""
