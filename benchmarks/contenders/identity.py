"""What the contenders with the production stack share: whose tokens they take, and what they let each caller do.

The harness signs its tokens with this secret, and hands the same values to the Go programs in their environment.
"""

import os

SECRET = "a secret of the benchmark, and of nothing else"
ISSUER = "https://id.example"
AUDIENCE = "orders"
ROLE = "customer"
TOKEN_CACHE = 10_000
"""Tokens a cache holds, where there is one: Seawall's default."""
TIMEOUT = 30
"""Seconds a call may take."""
RATE = int(os.environ.get("BENCH_RATE", "100000"))
"""Calls that each user may make in a second, and at once: by default more than anybody can send."""
