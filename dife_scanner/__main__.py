"""`python -m dife_scanner` is `dife`."""

from dife_scanner.cli import main

if __name__ == "__main__":
    main()
