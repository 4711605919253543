"""What clients report: who is connected, what was evaluated, impact metrics."""
