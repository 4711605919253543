"""Both engines and all that they judge by. Pure: data and `now` go in, decisions come out."""
