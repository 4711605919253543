"""Who has a flag under a rollout, and why: pure, without a framework, a database or a clock."""
