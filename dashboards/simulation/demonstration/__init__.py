"""`rollout demo`: weeks of made-up usage behind it, live traffic, and faults to order from its pages."""
