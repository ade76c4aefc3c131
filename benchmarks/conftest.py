"""Lets benchmarks read the case table that the tests are made from, and keeps their samples whole.

Behind what is on the path already: the files here and those of the tests must not hide each other.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests" / "python"))
