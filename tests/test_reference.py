"""docs/ops.md is what the tables say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DOCUMENT = Path(__file__).parent.parent / "docs" / "ops.md"


def test_the_op_reference_is_up_to_date():
    pytest.importorskip("scipy")
    version = ".".join(np.__version__.split(".")[:2])
    committed = DOCUMENT.read_text()
    if f"(NumPy {version})" not in committed:
        pytest.skip("generated with another NumPy, whose functions differ")
    made = subprocess.run(
        [sys.executable, "-m", "jittape.reference"], capture_output=True, text=True, check=True
    )
    assert made.stdout == committed, "run: python -m jittape.reference > docs/ops.md"
