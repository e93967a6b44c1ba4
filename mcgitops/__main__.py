"""`python -m mcgitops` is `mcgitops`."""

from mcgitops.cli.main import main

if __name__ == "__main__":
    main()
