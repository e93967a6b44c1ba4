"""Looks at the world and changes nothing: compose, git, files, the engine, hosts over SSH."""
