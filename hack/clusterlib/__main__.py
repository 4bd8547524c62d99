"""``python -m clusterlib``: what ``hack/cluster`` runs."""

import sys

from clusterlib.cli import main

sys.exit(main())
