"""Run the command line from a checkout: ``python cli.py --help``."""

import sys

from hccfeat.cli import main

if __name__ == "__main__":
    sys.exit(main())
