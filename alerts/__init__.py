"""What watches the rollout: alerts, their evidence and verdicts, and the guard that acts on them."""
