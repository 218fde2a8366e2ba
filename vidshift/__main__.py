"""`python -m vidshift` is the command `vidshift`."""

from vidshift.cli import main

if __name__ == "__main__":
    main()
