from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from storefront import tables
from storefront.chinook import read_chinook
from storefront.cli import app
from storefront.load import Added, load
from storefront.seed import generate
from storefront.types import NewProduct, NewUser, OrderSearch, ProductSearch

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[3] / "examples"


def small():
    return generate(random.Random(1), customers=30, products=60, orders=90)


async def content(database):
    """Return the SHA-256 of every row of every table."""
    digest = hashlib.sha256()
    async with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            for row in await connection.execute(select(table).order_by(*table.primary_key)):
                digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()


async def test_the_same_data_make_the_same_database(database):
    contents = []
    for _ in range(2):
        await database.drop_tables()
        await database.create_tables()
        await load(database, small())
        contents.append(await content(database))
    assert contents[0] == contents[1]


async def test_loading_again_adds_nothing(database):
    first = await load(database, small())
    before = await content(database)
    again = await load(database, small())
    assert (again.orders, again.lines) == (Added(0, 90), Added(0, first.lines.added))
    assert (again.customers, again.products) == (Added(0, 30), Added(0, 60))
    assert await content(database) == before


async def test_loading_keeps_what_is_there(database, users, products):
    dataset = small()
    mine = await users.create(NewUser(email=dataset.customers[0].email, name="Somebody Else"))
    lamp = await products.create(NewProduct(sku="MINE-1", name="Mine", category="Mine", price=1))
    loaded = await load(database, dataset)
    assert loaded.customers == Added(29, 1)
    assert (await users.get(mine.id)).name == "Somebody Else"
    assert await products.get(lamp.id) == lamp


async def test_rows_made_after_loading_get_ids_of_their_own(database, products, users):
    await load(database, small())
    assert (await products.create(NewProduct(sku="NEW-1", name="New", category="New", price=1))).id == 61
    assert (await users.create(NewUser(email="new@example.com", name="New"))).id == 31


async def test_progress_is_told(database):
    told = []
    await load(database, small(), lambda what, done, total: told.append((what, done, total)))
    lines = sum(len(row.lines) for row in small().orders)
    assert [item for item in told if item[1] == item[2]] == [
        ("customers", 30, 30),
        ("products", 60, 60),
        ("orders", 90, 90),
        ("order lines", lines, lines),
    ]


async def test_a_dataset_that_fails_leaves_nothing(database, products):
    dataset = small()
    with pytest.raises(KeyError):
        await load(database, type(dataset)(dataset.customers, dataset.products[:5], dataset.orders))
    assert (await products.stats()).total == 0


async def test_chinook(database, users, products, orders, chinook_path):
    chinook = read_chinook(chinook_path.read_bytes())
    assert chinook.skipped == ()
    loaded = await load(database, chinook.dataset)
    assert [getattr(loaded, name).added for name in loaded.__struct_fields__] == [59, 3_503, 412, 2_240]
    again = await load(database, chinook.dataset)
    assert [getattr(again, name).added for name in again.__struct_fields__] == [0, 0, 0, 0]

    invoices = json.loads(chinook_path.read_text(encoding="utf-8-sig"))["Invoice"]
    async with database.read() as connection:
        totals = dict((await connection.execute(select(tables.orders.c.reference, tables.orders.c.total))).all())
        lines = tables.order_lines.c
        sums = (
            await connection.execute(
                select(lines.order_id, func.sum(lines.quantity * lines.unit_price)).group_by(lines.order_id)
            )
        ).all()
    assert totals == {f"CHINOOK-I{row['InvoiceId']}": round(row["Total"] * 100) for row in invoices}
    assert sorted(int(total) for _, total in sums) == sorted(totals.values())

    assert (await users.stats()).with_orders == 59
    stats = await products.stats()
    assert (stats.active, len(stats.by_category), stats.by_category["Rock"]) == (3_503, 25, 1_297)
    found = await products.search(ProductSearch(q="HELL door"))
    assert [item.name for item in found.items] == ["Right Next Door to Hell"]
    page = await orders.search(OrderSearch(sort="oldest", limit=1))
    assert (page.items[0].reference, page.items[0].total) == ("CHINOOK-I1", 198)


@pytest.fixture
def storefront(monkeypatch):
    """Runs the command line in this process: `storefront("seed", "--url", url)`."""
    for name in ("STOREFRONT_DATABASE_URL", "SEAWALL_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments, **env: CliRunner().invoke(app, arguments, env=env)


def counted(output):
    """Return the table of counts: name → (added, there already)."""
    rows = (line.replace(",", "").split("│") for line in output.splitlines() if line.startswith("│"))
    return {row[1].strip(): (int(row[2]), int(row[3])) for row in rows}


def test_runs_as_a_module(sqlite_url):
    command = [sys.executable, "-m", "storefront", "seed", "--url", sqlite_url, "--products", "5", "--orders", "1"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert counted(done.stdout)["products"] == (5, 0)


def test_seed_command(storefront, url):
    size = ("--products", "40", "--orders", "30", "--customers", "10")
    first = storefront("seed", "--url", url, *size)
    assert first.exit_code == 0, first.stderr
    rows = counted(first.stdout)
    assert [rows[name] for name in ("customers", "products", "orders")] == [(10, 0), (40, 0), (30, 0)]
    again = storefront("seed", *size, STOREFRONT_DATABASE_URL=url)
    assert counted(again.stdout)["products"] == (0, 40)
    reset = storefront("seed", "--reset", "--seed", "2", *size, SEAWALL_DATABASE_URL=url)
    assert counted(reset.stdout)["products"] == (40, 0)


def test_import_command(storefront, sqlite_url, chinook_path):
    done = storefront("import", str(chinook_path), "--url", sqlite_url)
    assert done.exit_code == 0, done.stderr
    assert counted(done.stdout) == {
        "customers": (59, 0),
        "products": (3503, 0),
        "orders": (412, 0),
        "lines": (2240, 0),
    }
    assert "Skipped rows: 0" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("seed", "--url", "oracle://host/shop"), 1, "'oracle' is not supported"),
        (("seed", "--url", "sqlite:////nowhere/at/all/shop.sqlite3"), 1, "there is no folder '/nowhere/at/all'"),
        (("seed", "--url", "postgresql://nobody@127.0.0.1:1/shop"), 1, "The database cannot be reached."),
        (("seed", "--products", "4"), 2, "greater than or equal to 5"),
        (("import", str(EXAMPLES / "storefront" / "cli.py")), 1, "not the Chinook database in JSON"),
        (("import", "nowhere.json"), 2, "does not exist"),
    ],
)
def test_commands_fail_with_a_sentence(storefront, arguments, status, message):
    done = storefront(*arguments)
    assert done.exit_code == status
    assert message in " ".join(done.stderr.split())
    assert isinstance(done.exception, SystemExit), "not the error itself"
