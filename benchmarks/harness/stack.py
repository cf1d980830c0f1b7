"""The workloads of the production stack: those of `get` and `post`, by users who show tokens."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.harness.tokens import BEGUN, token
from benchmarks.harness.workloads import Probe, Request, Workload

USERS = 64
NEW_TOKENS = 100_000
"""Tokens that are sent in turn where each call brings a new one: ten times as many as a cache holds. All caches here
forget the oldest or any, so that none is known any more when its turn comes again."""
QUIET_USERS = 999
QUIET_RATE = 50
"""Calls a second, where one user sends half of all: more than each of the others sends, as long as there are fewer than
about 100,000 a second."""
REFERENCES = ("gin-stack", "gin-stack-cached")


def _signed(request: Request, shown: str) -> Request:
    return replace(request, authorization=f"Bearer {shown}")


def _turns(plain: Workload, users: list[str]) -> tuple[Request, ...]:
    """Return one request of each user."""
    requests = plain.requests
    return tuple(_signed(requests[n % len(requests)], token(user)) for n, user in enumerate(users))


def _guards(request: Request) -> Iterator[Probe]:
    """Return what authentication and authorisation must refuse, and with which status."""
    good = token("user-0")
    head, claims, signature = good.split(".")
    forged = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BA")
    shown = {
        "no token at all": None,
        "not a token": "Bearer nonsense",
        "another scheme": "Basic dXNlcjpwYXNz",
        "forged signature": f"Bearer {head}.{claims}.{forged}",
        "no signature": f"Bearer {head}.{claims}.",
        "other claims under a signature": f"Bearer {head}.{token('admin').split('.')[1]}.{signature}",
        "signed with another secret": f"Bearer {token('user-0', secret='somebody else signs with this one')}",
        "algorithm none": f"Bearer {token('user-0', algorithm='none')}",
        "expired": f"Bearer {token('user-0', exp=BEGUN - 60)}",
        "never expires": f"Bearer {token('user-0', exp=None)}",
        "another issuer": f"Bearer {token('user-0', iss='https://other.example')}",
        "another audience": f"Bearer {token('user-0', aud='invoices')}",
    }
    for name, authorization in shown.items():
        yield Probe(name, replace(request, authorization=authorization), status=401, guard=True)
    for name, roles in {"another role": ["auditor"], "no role": []}.items():
        yield Probe(name, _signed(request, token("user-0", roles=roles)), status=403, guard=True)


def _guarded(name: str, about: str, plain: Workload, requests: Callable[[], tuple[Request, ...]]) -> Workload:
    good = token("user-0")
    probes = [replace(probe, request=_signed(probe.request, good)) for probe in plain.probes]
    return replace(
        plain,
        name=name,
        about=about,
        build=requests,
        probes=(*_guards(plain.requests[0]), *probes),
        references=REFERENCES,
        logged=True,
    )


def stack_workloads(get: Workload, post: Workload) -> tuple[Workload, ...]:
    """Return GET and POST with tokens, GET with every token new, and GET where one user sends half of the calls."""
    users = [f"user-{n}" for n in range(USERS)]

    def new_tokens() -> tuple[Request, ...]:
        requests = get.requests
        turns = ((requests[n % len(requests)], users[n % USERS], n + 1) for n in range(NEW_TOKENS))
        return tuple(_signed(request, token(user, number)) for request, user, number in turns)

    def one_greedy() -> tuple[Request, ...]:
        quiet = _turns(get, [f"user-{n}" for n in range(QUIET_USERS)])
        greedy = _signed(get.requests[0], token("greedy"))
        return tuple(request for each in quiet for request in (each, greedy))

    fresh = _guarded("stack-new", f"GET, each token new ({NEW_TOKENS:,} in turn)", get, new_tokens)
    limited = _guarded("stack-limited", f"GET, half of the calls by one of {QUIET_USERS + 1:,} users", get, one_greedy)
    return (
        _guarded("stack-get", f"GET, tokens of {USERS} users", get, lambda: _turns(get, users)),
        _guarded("stack-post", f"POST, tokens of {USERS} users", post, lambda: _turns(post, users)),
        replace(fresh, checked=USERS, guards_only=True),
        replace(
            limited,
            checked=QUIET_RATE,
            guards_only=True,
            variables=(("BENCH_RATE", str(QUIET_RATE)),),
            refused=(0.3, 0.51),
            limited=_signed(get.requests[0], token("probe")),
        ),
    )
