"""mcgitops: GitOps for models, out of the compose file that a team already has."""

__version__ = "0.1.0"
