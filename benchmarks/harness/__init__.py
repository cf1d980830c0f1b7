"""What stands behind `run.py` and `startup.py`: contenders, workloads, servers, load and report."""
