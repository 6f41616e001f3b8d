"""Where the checkout is."""

from __future__ import annotations

from pathlib import Path

#: The folder of the repository, with docs/, configs/ and benchmarks/.
ROOT = Path(__file__).resolve().parents[2]
