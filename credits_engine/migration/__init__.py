"""From one engine to two, and later back to one: backfill, previews, copies, drills, retirement."""
