"""The compose file as typed objects, and the `x-mcgitops` models. Pure: reads no file."""
