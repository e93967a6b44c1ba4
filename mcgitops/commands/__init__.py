"""The command generator: one noun a file; values in, a `Command` out. Pure."""
