"""Test modules import the oracle by name: `from oracle import check`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
