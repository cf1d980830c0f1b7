"""A profile as a file for speedscope (https://www.speedscope.app/file-format-schema.json, "sampled" profiles)."""

from __future__ import annotations

from typing import Any

from seawall.profiling.cpu import Profile
from seawall.profiling.stacks import Place, short_path

__all__ = ["speedscope"]


def speedscope(profile: Profile, name: str) -> dict[str, Any]:
    """Return *profile* in speedscope's form, one profile per thread, in the order of time.

    Args:
        profile: What was seen.
        name: What to call it.
    """
    numbers: dict[Place, int] = {}
    stacks = [[numbers.setdefault(place, len(numbers)) for place in stack] for stack in profile.stacks]
    profiles = []
    for thread in profile.threads:
        if all(stack < 0 for stack, _ in thread.runs):
            continue
        weights = [samples * profile.interval for _, samples in thread.runs]
        profiles.append(
            {
                "type": "sampled",
                "name": thread.name,
                "unit": "seconds",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": [stacks[stack] if stack >= 0 else [] for stack, _ in thread.runs],
                "weights": weights,
            }
        )
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "seawall",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {
            "frames": [{"name": place.name, "file": short_path(place.file), "line": place.line} for place in numbers]
        },
        "profiles": profiles,
        "cost": {
            "seconds": profile.seconds,
            "samples": profile.ticks,
            "sampling_seconds": profile.cost,
            "process_cpu_seconds": profile.cpu,
            "idle_samples": profile.idle,
            "dropped_samples": profile.dropped,
        },
    }
