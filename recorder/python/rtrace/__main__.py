"""``python -m rtrace``, the same as the command ``rtrace``."""

from rtrace.cli import main

if __name__ == "__main__":
    main()
