"""Where things lie, relative to the repository."""

from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
BUILD = BENCHMARKS / "build"
VENV = BENCHMARKS / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = BENCHMARKS / "requirements.txt"
LATEST = BENCHMARKS / "results" / "latest.json"
