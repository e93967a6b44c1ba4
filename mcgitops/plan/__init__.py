"""Decides what to do: facts in, steps with reasons out. Pure; it never looks for itself."""
