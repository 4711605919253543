"""The pure core: counts go in, verdicts come out. No framework, no database, no clock; everything else serves it."""
