"""``python -m reglm.cli`` is the command ``reglm``."""

import sys

from reglm.cli import main

sys.exit(main())
