"""Read models: for each screen one frozen dataclass and the function that reads it, in few queries."""
