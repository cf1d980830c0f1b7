from __future__ import annotations

import re

from seawall.devpages import MAX_ERRORS, traceback_lines, traceback_page
from seawall.plan import CodeCache


def caught(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def page(error):
    return traceback_page(error, "GET /<orders>").decode()


def fail(password):
    raise ValueError("<script>alert(1)</script>")


def test_everything_that_is_shown_is_escaped():
    html = page(caught(fail, ""))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "GET /&lt;orders&gt;" in html


def test_values_of_variables_are_not_shown():
    secret = str(7**20)  # so that it stands nowhere in this file, whose source is shown
    error = caught(fail, secret)
    assert secret not in page(error)
    assert secret not in "\n".join(traceback_lines(error))


def test_the_users_frames_come_first_and_the_failing_line_is_marked():
    html = page(caught(fail, ""))
    assert html.index("Your code, innermost first") < html.index("Whole stack, outermost first")
    assert re.search(r"<b class=hit><i>\d+</i>    <mark>raise ValueError\(", html)


def test_generated_code_shows_its_source_and_is_not_taken_for_the_users():
    source = "def plan():\n    return _fail(None)\n"
    run = CodeCache().function(source, "plan", "read_order", {"_fail": fail})
    html = page(caught(run))
    assert re.search(r"&lt;seawall plan \d+&gt;:2", html)
    assert "<mark>_fail(None)</mark>" in html
    yours = html[html.index("Your code") : html.index("Whole stack")]
    assert "seawall plan" not in yours


def test_an_error_in_the_standard_library_opens_the_whole_stack():
    import json

    error = caught(json.loads, "{")
    error.__traceback__ = error.__traceback__.tb_next
    html = page(error)
    assert "<details class=all open>" in html
    assert "Your code" not in html
    assert "json/decoder.py" in html


def test_causes_and_parts_of_groups_are_shown():
    def chain():
        try:
            fail("")
        except ValueError as error:
            raise ExceptionGroup("both", [KeyError("a"), OSError("b")]) from error

    html = page(caught(chain))
    assert [html.count(word) for word in ("<small>Caused by</small>", "<small>Part of the group</small>")] == [1, 2]


def test_a_suppressed_context_is_not_shown():
    def chain():
        try:
            fail("")
        except ValueError:
            raise KeyError("a") from None

    assert "<small>While handling</small>" not in page(caught(chain))


def test_endless_recursion_stays_short():
    def deeper(number):
        deeper(number + 1)

    error = caught(deeper, 0)
    assert len(page(error)) < 200_000
    assert len(traceback_lines(error)) < 200


def test_a_large_group_stays_short():
    error = ExceptionGroup("many", [ValueError(str(number)) for number in range(1000)])
    assert page(error).count("Part of the group") == MAX_ERRORS - 1


def test_an_error_whose_message_fails_is_still_shown():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no")

    assert "its message cannot be shown: RuntimeError" in page(Broken())


def test_lines_are_pythons_own():
    lines = traceback_lines(caught(fail, ""))
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: <script>alert(1)</script>"
    assert all("\n" not in line for line in lines)
