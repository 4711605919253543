"""`python -m tests.bench`: everything that is measured in requests per second, one part after the other."""

import sys

from tests.bench import billing, flags
from tests.bench import credits as consumer

PARTS = (flags.main, billing.main, consumer.main)


def main() -> int:
    """Run every part; 1 when one of them missed a figure."""
    return max(part() or 0 for part in PARTS)


if __name__ == "__main__":
    sys.exit(main())
