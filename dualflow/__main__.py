"""`python -m dualflow` is the command `dualflow`."""

import sys

from dualflow.cli import main

sys.exit(main())
