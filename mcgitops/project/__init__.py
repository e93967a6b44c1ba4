"""The compose file as typed objects, and the `x-mcgitops` models. Pure: reads no file."""

KEY = "x-mcgitops"
"""What everything of ours stands under in a compose file."""

STATE_FOLDER = ".mcgitops"
"""Where everything of ours lives in a project folder; never part of a fingerprint."""
