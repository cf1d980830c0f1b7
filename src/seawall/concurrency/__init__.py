"""Work done side by side, under one owner."""

from seawall.concurrency.fan_out import fan_out

__all__ = ["fan_out"]
