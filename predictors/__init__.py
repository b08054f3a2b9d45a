"""Wear models: arrays in, distributions of the end-of-life date out. No clock, no database, no network."""
