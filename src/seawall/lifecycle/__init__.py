"""The life of a service: what starts in which order, how it is, what it does beside its calls, how it ends."""

from seawall.lifecycle.budget import Budget
from seawall.lifecycle.health import CheckResult, Health
from seawall.lifecycle.held import HeldResources
from seawall.lifecycle.lifecycle import Cut, Lifecycle, Phase
from seawall.lifecycle.living import Living
from seawall.lifecycle.tasks import BackgroundTask, Backoff, TaskCounts, Tasks, TaskState

__all__ = [
    "BackgroundTask",
    "Backoff",
    "Budget",
    "CheckResult",
    "Cut",
    "Health",
    "HeldResources",
    "Lifecycle",
    "Living",
    "Phase",
    "TaskCounts",
    "TaskState",
    "Tasks",
]
