"""Flags in Unleash's own form: compiled, canonical, evaluated by its engine, explained."""
