from __future__ import annotations

import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from seawall import DeclarationError
from seawall.host import Arena, Host
from seawall.telemetry.metrics import board as boards
from seawall.telemetry.metrics.board import Board, Exemplar, Snapshot, part_bytes
from seawall.telemetry.metrics.exposition import FRESH_SECONDS, Exposition
from seawall.telemetry.metrics.heartbeat import Heartbeat
from seawall.telemetry.metrics.metrics import Metrics


def part(arena=None, worker=0):
    return Board((arena or Arena.create()).region(f"metrics {worker}", part_bytes()))


def metrics(arena=None, slot=0, slots=1):
    host = Host(slot, slots, arena)
    return Metrics(lambda: host)


def samples(text, name):
    found = [sample for family in parse(text.decode()) for sample in family.samples if sample.name == name]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in found}


def test_a_successor_goes_on_from_the_counts_of_the_one_before():
    arena = Arena.create()
    first = part(arena)
    place = first.claim(("http", "read", "/a", "GET", "200"))
    first.counts[place] += 3
    first.sums[place + boards.SUM] += 0.5
    second = part(arena)
    again = second.claim(("http", "read", "/a", "GET", "200"))
    other = second.claim(("http", "other", "/b", "GET", "200"))
    second.counts[again] += 1
    assert (again, other != again) == (place, True)
    assert {reading.key: reading.buckets[0] for reading in second.read()} == {
        ("overflow",): 0,
        ("http", "read", "/a", "GET", "200"): 4,
        ("http", "other", "/b", "GET", "200"): 0,
    }


def test_series_beyond_the_limit_are_counted_together(monkeypatch):
    monkeypatch.setattr(boards, "SERIES", 5)
    board = part()
    places = [board.claim(("http", f"op{number}")) for number in range(50)]
    assert len(set(places[:5])) == 5
    assert set(places[5:]) == {board.claim(("overflow",))}
    assert len(list(board.read())) == 6


def test_long_names_are_cut_and_stay_apart():
    board = part()
    one, other = board.claim(("http", "x" * 5000 + "1", "é" * 900)), board.claim(("http", "x" * 5000 + "2", "é" * 900))
    assert one != other
    assert all(len(word) < 80 for reading in board.read() for word in reading.key)


def test_what_is_being_written_is_not_read():
    board = part()
    assert board.snapshot() is None
    assert board.publish(Snapshot(5.0, 7, b"whole"))
    assert board.snapshot() == Snapshot(5.0, 7, b"whole")
    board.counts[1] |= 1  # as a writer that was killed has left it
    assert board.snapshot() is None
    assert board.publish(Snapshot(6.0, 8, b"next"))
    assert board.snapshot() == Snapshot(6.0, 8, b"next")
    assert not board.publish(Snapshot(7.0, 8, b"x" * 1_000_000))


def test_counters_take_additions_from_many_threads_and_lose_none():
    made = metrics()
    counter = made.counter("orders_placed", "Orders.", labels=("shop",))

    def add():
        for _ in range(2000):
            counter.add(shop="a")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.board.counts[made.board.claim(("own", "orders_placed", "shop", "a"))] == 8000


def test_wrong_names_labels_and_amounts_are_refused():
    made = metrics()
    counter = made.counter("orders", "Orders.", labels=("shop",))
    assert made.counter("orders", "Orders.", labels=("shop",)) is counter
    for name in ("Orders", "1a", "a-b", "orders_total", "http_server_request_duration_seconds"):
        with pytest.raises(DeclarationError):
            made.counter(name, "x")
    with pytest.raises(DeclarationError):
        made.gauge("orders", "x", lambda: 1)
    with pytest.raises(ValueError, match="take away"):
        counter.add(-1, shop="a")
    with pytest.raises(ValueError, match="labels are"):
        counter.add(tenant="a")


def test_labels_of_a_counter_have_an_end():
    made = metrics()
    counter = made.counter("orders", "Orders.", labels=("customer",))
    for number in range(3000):
        counter.add(customer=str(number))
    readings = [reading for reading in made.board.read() if reading.key[0] == "own"]
    assert len(readings) == 1001
    assert sum(reading.buckets[0] for reading in readings) == 3000


def test_one_worker_answers_for_all(manual_clock):
    arena = Arena.create()
    workers = [metrics(arena, slot, 3) for slot in range(3)]
    expositions = [Exposition(each, manual_clock, slot) for slot, each in enumerate(workers)]
    for number, each in enumerate(workers):
        each.gauge("pool_size", "Size.", lambda number=number: number)
        each.counter("orders", "Orders.").add(number)
        series = each.calls("read", "/a", "GET", direct=False)
        each.board.counts[series.new(200)] += 10
    for exposition in expositions:
        exposition.publish()
    _, text = expositions[1].write("")
    assert samples(text, "orders_total") == {(): 3}
    (count,) = samples(text, "http_server_request_duration_seconds_count").values()
    assert count == 30
    assert samples(text, "pool_size") == {(("worker", str(number)),): number for number in range(3)}
    manual_clock.advance(FRESH_SECONDS + 1)
    _, text = expositions[1].write("")
    assert samples(text, "pool_size") == {(("worker", "1"),): 1}, "workers that are silent are gone"
    (count,) = samples(text, "http_server_request_duration_seconds_count").values()
    assert count == 30, "what they have counted stays"


def test_a_gauge_that_cannot_be_read_is_left_out_and_named_once(manual_clock, caplog):
    made = metrics()
    made.gauge("broken", "x", lambda: 1 / 0)
    made.gauge("whole", "x", lambda: {"a": 1, "b": 2}, labels=("kind",))
    exposition = Exposition(made, manual_clock, 1)
    for _ in range(2):
        _, text = exposition.write("")
    assert samples(text, "whole") == {(("kind", "a"),): 1, (("kind", "b"),): 2}
    assert b"broken" not in text
    assert [record.getMessage() for record in caplog.records] == ["gauge broken cannot be read and is left out"]


def test_openmetrics_has_exemplars_for_who_asks(manual_clock):
    made = metrics()
    place = made.calls("read", "/a", "GET", direct=False).new(200)
    made.board.counts[place + 1] += 1
    made.board.mark(place, 1, Exemplar("a" * 32, "b" * 16, 0.006, 5.0))
    exposition = Exposition(made, manual_clock, 1)
    media, text = exposition.write("application/openmetrics-text; version=1.0.0")
    assert media.startswith("application/openmetrics-text")
    found = [
        (sample.labels["le"], sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for family in openmetrics(text.decode())
        for sample in family.samples
        if sample.exemplar
    ]
    assert found == [("0.01", "a" * 32, 0.006)]
    media, text = exposition.write("text/plain")
    assert media.startswith("text/plain")
    assert b"trace_id" not in text


def test_statuses_and_methods_that_are_none_share_one_series():
    made = metrics()
    series = made.calls("mount", "/m/*", "", direct=False)
    for number in range(2000):
        series.new_for((f"METHOD{number}", number))
    assert len([reading for reading in made.board.read() if reading.key[0] == "http"]) == 501


@pytest.mark.anyio
async def test_the_heartbeat_measures_how_late_the_loop_is(manual_clock):
    made = metrics()
    beat = Heartbeat(made, Exposition(made, manual_clock, 1), manual_clock)
    beat.start()
    await manual_clock.sleep(2.1)
    beat.stop()
    await manual_clock.sleep(2)
    assert sum(next(reading.buckets for reading in made.board.read() if reading.key == ("lag",))) == 8
