"""Releases, hosts and rollouts: what a tag pins and how it reaches an environment."""
