"""Differences, directions and gates between two sets of runs. Pure."""
