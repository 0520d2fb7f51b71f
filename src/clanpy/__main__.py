"""`python -m clanpy` is the `clanpy` program."""

import sys

from clanpy.cli import main


sys.exit(main())
