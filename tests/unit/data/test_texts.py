"""Statements as they may be shown: no value is left in one, however it is written."""

from __future__ import annotations

import pytest

from seawall.data.texts import LONGEST, text_of


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 'it''s hunter2', 4711, 1.5e10, .5, 0xFF FROM t1", "SELECT ?, ?, ?, ?, ? FROM t1"),
        ("SELECT * FROM t WHERE a = $1 AND b = :b_1 AND c = ?1 AND d = %(d_2)s AND e = %s", None),
        ("SELECT \"a 'b' c\" FROM t", None),
        ("SELECT E'it\\'s hunter2', U&'hunter2', x'1F', N'hunter2'", "SELECT ?, ?, ?, ?"),
        ("SELECT 'C:\\' , 'hunter2'", "SELECT ? , ?"),
        ("SELECT $$hunter2$$, $a$ hunter2 $b$ hunter2 $a$, $1", "SELECT ?, ?, $1"),
        ("SELECT 1 -- hunter2\n FROM t /* hunter2\n */ LIMIT 10", "SELECT ? FROM t LIMIT ?"),
        ("SELECT 'hunter2", "SELECT ?"),
        ("SELECT $$hunter2", "SELECT ?"),
        ("SELECT 1 /* hunter2", "SELECT ?"),
        ("SELECT a::int4, b[1], c->0", "SELECT a::int4, b[?], c->?"),
    ],
)
def test_values_are_left_out(statement, shown):
    assert text_of(statement).shown == (shown or statement)


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 'it\\'s hunter2', \"hunter2\" FROM `a 'b`", "SELECT ?, ? FROM `a 'b`"),
        ("SELECT 1 # hunter2\n FROM t", "SELECT ? FROM t"),
        ("SELECT _utf8'hunter2', 'a''b'", "SELECT ?, ?"),
    ],
)
def test_values_are_left_out_as_mariadb_writes_them(statement, shown):
    assert text_of(statement, backslashes=True).shown == shown


@pytest.mark.parametrize(
    ("statement", "operation", "targets"),
    [
        ("select a.x from orders as a join users on true", "SELECT", ("orders", "users")),
        ('INSERT INTO "my things" (a) SELECT b FROM x', "INSERT", ("my things", "x")),
        ("UPDATE things SET a = 1 WHERE id IN (SELECT id FROM other) ", "UPDATE", ("things", "other")),
        ("SELECT a, b AS c FROM t FOR UPDATE SKIP LOCKED", "SELECT", ("t",)),
        ("INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1", "INSERT", ("t",)),
        ("WITH a AS (SELECT 1 FROM x) UPDATE things SET a = 1", "UPDATE", ("x", "things")),
        ("WITH a AS (DELETE FROM x RETURNING id) SELECT id FROM a", "SELECT", ("x", "a")),
        ("DELETE FROM s.t", "DELETE", ("s.t",)),
        ("BEGIN IMMEDIATE", "BEGIN", ()),
        ("", "SQL", ()),
    ],
)
def test_what_a_statement_does_in_a_few_words(statement, operation, targets):
    text = text_of(statement)
    assert (text.operation, text.targets) == (operation, targets)
    assert text.summary == " ".join((operation, *targets))


def test_long_ones_are_cut_and_end_in_time():
    assert len(text_of("SELECT " + "a, " * 100_000).shown) == LONGEST + 1
    for hostile in ("'" * 100_000, "WITH " + "a(" * 50_000, "/*" * 50_000, "$a$" * 50_000, "FROM " * 50_000):
        assert len(text_of(hostile).shown) <= LONGEST + 1
        assert len(text_of(hostile, backslashes=True).summary) <= 120
