"""The rollout rehearsed: recorded or made-up usage through the real use cases, with faults to order."""
