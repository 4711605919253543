"""The rollout as a value and every decision about it. Pure: data and `now` come in, decisions go out."""
