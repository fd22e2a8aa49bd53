"""Lets `python tests/mutation` find the modules of the tests."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    from mutation.command import main

    main()
