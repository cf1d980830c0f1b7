"""Scenario 10: a thousand want what nobody has, from one process and from four; whoever loads it dies; it fails."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from support.stores import REDIS_URL, missing

WORKER = Path(__file__).with_name("cache_worker.py")


@pytest.fixture
def redis():
    import redis as driver

    client = driver.Redis.from_url(REDIS_URL)
    try:
        client.ping()
    except (OSError, driver.RedisError) as error:
        missing("Redis", error)
    yield client
    client.close()


@pytest.fixture
def prefix(redis):
    name = f"seawall:test:{uuid.uuid4().hex}:"
    yield name
    for key in redis.scan_iter(match=f"{name}*", count=1000):
        redis.delete(key)


class Workers:
    def __init__(self):
        self.running = []

    def start(self, prefix, mode, wanted, *, lease=30.0, load=0.5):
        command = [sys.executable, str(WORKER), REDIS_URL, prefix, str(lease), str(load), mode, str(wanted)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        return process


@pytest.fixture
def workers():
    made = Workers()
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def go(processes):
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def results(processes):
    return [json.loads(process.communicate(timeout=100)[0].splitlines()[-1]) for process in processes]


@pytest.mark.parametrize("number", [1, 4])
def test_a_thousand_misses_are_one_load(redis, prefix, workers, number):
    started = [workers.start(prefix, "cache", 1000 // number) for _ in range(number)]
    go(started)
    assert [result["got"] for result in results(started)] == [["1"]] * number
    assert int(redis.get(f"{prefix}origin")) == 1


def test_without_protection_they_are_a_thousand(redis, prefix, workers):
    started = [workers.start(prefix, "bare", 250) for _ in range(4)]
    go(started)
    results(started)
    assert int(redis.get(f"{prefix}origin")) == 1000


def test_a_filler_that_is_killed_costs_one_more_load_and_its_lease(redis, prefix, workers):
    filler = workers.start(prefix, "hang", 1, lease=3.0)
    waiting = [workers.start(prefix, "cache", 250, lease=3.0, load=0.0) for _ in range(3)]
    go([filler])
    assert filler.stdout.readline() == "loading\n"
    go(waiting)
    filler.kill()
    found = results(waiting)
    assert [result["got"] for result in found] == [["2"]] * 3
    assert int(redis.get(f"{prefix}origin")) == 2


def test_an_origin_that_fails_is_asked_once_by_each_process_and_nothing_is_kept(redis, prefix, workers):
    started = [workers.start(prefix, "error", 250) for _ in range(4)]
    go(started)
    assert [result["got"] for result in results(started)] == [["error"]] * 4
    assert int(redis.get(f"{prefix}origin")) <= 4
    after = workers.start(prefix, "cache", 10)
    go([after])
    results([after])
    assert int(redis.get(f"{prefix}origin")) <= 5
    assert not list(redis.scan_iter(match=f"{prefix}*:c:*"))
