"""Executes a plan: processes, containers watched through the engine, progress, resource use."""
