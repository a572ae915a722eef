"""`python -m scripts.program` is `seatstream` where the package is not installed."""

import sys

from scripts.program.main import run

if __name__ == "__main__":
    sys.exit(run())
