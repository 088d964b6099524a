"""What the pages claim about the network is what was measured."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_of_the_pages_are_those_of_the_scores() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "model_tables.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
