"""``python -m dtx_telemetry`` is ``dtx-telemetry``."""

import sys

from .viewer.cli import main

if __name__ == "__main__":
    sys.exit(main())
