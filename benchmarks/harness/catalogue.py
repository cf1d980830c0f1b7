"""All workloads, in the order in which they are measured."""

from benchmarks.harness.stack import stack_workloads
from benchmarks.harness.workloads import GET, POST, ROUTES_10, ROUTES_1000

WORKLOADS = (GET, POST, ROUTES_10, ROUTES_1000, *stack_workloads(GET, POST))
FAMILIES = tuple(dict.fromkeys(workload.family for workload in WORKLOADS))
