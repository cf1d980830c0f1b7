"""``python -m seawall.settings`` writes the reference of all settings to the standard output."""

from __future__ import annotations

import sys

from seawall.settings.document import document

sys.stdout.write(document())
