"""Executes a plan: processes, containers watched through the engine's API, progress, resource use."""
