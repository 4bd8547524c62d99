"""``python -m demolib``."""

import sys

from demolib.cli import main

sys.exit(main())
