from __future__ import annotations

import codecs
import copy
import json
from datetime import UTC, datetime

import pytest

from storefront.chinook import ChinookError, read_chinook
from storefront.types import OrderStatus

FILE = {
    "Genre": [{"GenreId": 1, "Name": "Rock"}],
    "Artist": [{"ArtistId": 1, "Name": "AC/DC"}],
    "Album": [{"AlbumId": 1, "Title": "Let There Be Rock", "ArtistId": 1}],
    "Track": [
        {"TrackId": 1, "Name": "Go Down", "AlbumId": 1, "GenreId": 1, "UnitPrice": 0.99, "Composer": "…"},
        {"TrackId": 2, "Name": "Overdose", "AlbumId": None, "GenreId": None, "UnitPrice": 1.99},
    ],
    "Customer": [{"CustomerId": 7, "FirstName": "Luís", "LastName": "Gonçalves", "Email": "Luis@Example.com"}],
    "Invoice": [{"InvoiceId": 9, "CustomerId": 7, "InvoiceDate": "2021-01-01T00:00:00", "Total": 3.97}],
    "InvoiceLine": [
        {"InvoiceLineId": 1, "InvoiceId": 9, "TrackId": 1, "UnitPrice": 0.99, "Quantity": 2},
        {"InvoiceLineId": 2, "InvoiceId": 9, "TrackId": 2, "UnitPrice": 1.99, "Quantity": 1},
    ],
    "Playlist": [],
}


def read(change=lambda file: None, bom=codecs.BOM_UTF8):
    file = copy.deepcopy(FILE)
    change(file)
    return read_chinook(bom + json.dumps(file).encode())


def reasons(change):
    chinook = read(change)
    return {skipped.row: skipped.reason for skipped in chinook.skipped}, chinook.dataset


@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_takes_everything_over(bom):
    chinook = read(bom=bom)
    assert chinook.skipped == ()
    (customer,), products, (order,) = (
        chinook.dataset.customers,
        chinook.dataset.products,
        chinook.dataset.orders,
    )
    assert (customer.email, customer.name) == ("luis@example.com", "Luís Gonçalves")
    assert [(row.sku, row.category, row.price) for row in products] == [
        ("CHINOOK-T1", "Rock", 99),
        ("CHINOOK-T2", "Uncategorised", 199),
    ]
    assert products[0].description == "AC/DC · Let There Be Rock"
    assert (order.reference, order.email, order.status) == (
        "CHINOOK-I9",
        "luis@example.com",
        OrderStatus.DELIVERED,
    )
    assert order.placed_at == datetime(2021, 1, 1, tzinfo=UTC)
    assert [(line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        ("CHINOOK-T1", 2, 99),
        ("CHINOOK-T2", 1, 199),
    ]
    assert order.total == 397


def test_a_total_that_does_not_add_up_is_not_believed():
    skipped, dataset = reasons(lambda file: file["Invoice"][0].update(Total=3.98))
    assert skipped == {"invoice 9": "its lines add up to 3.97, its total is 3.98"}
    assert dataset.orders == ()


def test_an_invoice_goes_with_what_it_needs():
    skipped, dataset = reasons(lambda file: file["Track"][1].update(Name="a\x00b"))
    assert skipped.keys() == {"track 2", "invoice 9"}
    assert skipped["invoice 9"] == "track 2 was not taken over"
    assert (len(dataset.products), len(dataset.orders)) == (1, 0)


@pytest.mark.parametrize(
    ("table", "change", "row", "reason"),
    [
        ("Track", {"UnitPrice": 0.999}, "track 1", "Expected `int`"),
        ("Track", {"UnitPrice": -1}, "track 1", ">= 0"),
        ("Track", {"Name": ""}, "track 1", "length >= 1"),
        ("Customer", {"Email": "nobody"}, "customer 7", "regex"),
        ("Invoice", {"CustomerId": 8}, "invoice 9", "customer 8 was not taken over"),
        ("Invoice", {"InvoiceId": 8}, "invoice 8", "it has no lines"),
        ("InvoiceLine", {"TrackId": 3}, "invoice 9", "track 3 was not taken over"),
        ("InvoiceLine", {"TrackId": 2}, "invoice 9", "two lines for one track"),
        ("InvoiceLine", {"Quantity": 0, "UnitPrice": 0}, "invoice 9", "add up to 1.99"),
    ],
)
def test_says_what_it_skipped_and_why(table, change, row, reason):
    skipped, _ = reasons(lambda file: file[table][0].update(change))
    assert reason in skipped[row]


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("Track", "track 1", "same id"),
        ("Customer", "customer 7", "same address"),
        ("Invoice", "invoice 9", "same id"),
    ],
)
def test_takes_nothing_over_twice(table, row, reason):
    skipped, dataset = reasons(lambda file: file[table].append(file[table][0]))
    assert list(skipped) == [row]
    assert reason in skipped[row]
    assert (len(dataset.customers), len(dataset.products), len(dataset.orders)) == (1, 2, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"Genre": []}'])
def test_refuses_what_is_not_chinook(content):
    with pytest.raises(ChinookError, match="not the Chinook database"):
        read_chinook(content)


def test_names_the_place_of_a_wrong_column():
    with pytest.raises(ChinookError, match=r"\$\.Track\[1\]\.UnitPrice"):
        read(lambda file: file["Track"][1].update(UnitPrice="dear"))
