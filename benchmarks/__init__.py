"""What mcgitops costs, held against bounds and against DVC. See README.md; `make bench` runs it."""
