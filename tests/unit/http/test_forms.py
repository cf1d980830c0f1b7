"""Forms: URL-encoded and multipart, their limits, and every error with its field."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta
from starlette.datastructures import UploadFile

from seawall import Form
from support.exchange import FORM, exchange
from support.settings import service

pytestmark = pytest.mark.anyio


class Signup(msgspec.Struct):
    email: str
    age: Annotated[int, Meta(ge=18)] = 18
    topics: list[str] = []
    ratio: float | None = None


class Upload(msgspec.Struct):
    title: str
    document: UploadFile
    more: list[UploadFile] = []


def signing_up(**http):
    app, seen = service(http=http), []

    @app.post("/signup")
    async def signup(form: Annotated[Signup, Form()]) -> None:
        seen.append(form)

    return app, seen


def uploading(**options):
    http = options.pop("http", {})
    app, seen = service(http=http), []

    @app.post("/upload", **options)
    async def upload(form: Annotated[Upload, Form()]) -> None:
        files = [form.document, *form.more]
        seen.append((form.title, [(file.filename, await file.read()) for file in files]))
        seen.append(files)

    return app, seen


def multipart(*parts: tuple[str, str | None, bytes], boundary: str = "XX") -> tuple[bytes, dict[str, str]]:
    body = b""
    for name, filename, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}


async def test_a_url_encoded_form():
    app, seen = signing_up()
    body = b"email=a%40b.c&age=20&topics=x+y&topics=z%26"
    assert (await exchange(app, "POST", "/signup", body=body, headers=FORM)).status == 204
    assert (await exchange(app, "POST", "/signup", body=[body[:5], body[5:]], headers=FORM)).status == 204
    assert seen == [Signup("a@b.c", 20, ["x y", "z&"])] * 2


async def test_a_multipart_form_with_files():
    app, seen = uploading()
    body, headers = multipart(
        ("title", None, b"T"), ("document", "d.txt", b"\x00\xff"), ("more", "1", b"1"), ("more", "2", b"")
    )
    assert (await exchange(app, "POST", "/upload", body=body, headers=headers)).status == 204
    assert seen[0] == ("T", [("d.txt", b"\x00\xff"), ("1", b"1"), ("2", b"")])


async def test_files_are_closed_when_the_call_is_over():
    app, seen = uploading()
    body, headers = multipart(("title", None, b"T"), ("document", "d", b"1"))
    await exchange(app, "POST", "/upload", body=body, headers=headers)
    assert all(file.file.closed for file in seen[1])


async def test_a_form_without_files_may_be_multipart_too():
    app, seen = signing_up()
    body, headers = multipart(("email", None, b"a"), ("age", None, b"30"))
    assert (await exchange(app, "POST", "/signup", body=body, headers=headers)).status == 204
    assert seen == [Signup("a", 30)]


async def test_everything_wrong_is_said_at_once():
    app, _ = signing_up()
    answer = await exchange(app, "POST", "/signup", body=b"age=x&coupon=1&ratio=nan", headers=FORM)
    assert answer.status == 422
    assert set(answer.errors) == {"form:email", "form:age", "form:coupon", "form:ratio"}
    answer = await exchange(app, "POST", "/signup", body=b"email=a&email=b&age=17", headers=FORM)
    assert answer.errors == {"form:email": "Give this field once.", "form:age": "Expected `int` >= 18."}
    app, _ = uploading()
    body, headers = multipart(("title", "t.txt", b"T"), ("document", None, b"text"))
    answer = await exchange(app, "POST", "/upload", body=body, headers=headers)
    assert set(answer.errors) == {"form:title", "form:document"}
    assert "file" in answer.errors["form:document"]


async def test_unknown_fields_by_policy():
    app, seen = service(unknown_fields="ignore"), []

    @app.post("/signup")
    async def signup(form: Annotated[Signup, Form()]) -> None:
        seen.append(form)

    assert (await exchange(app, "POST", "/signup", body=b"email=a&x=1", headers=FORM)).status == 204
    assert seen == [Signup("a")]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"email=%FF", FORM),
        (b"nonsense", {"content-type": "multipart/form-data; boundary=XX"}),
        (b"--XX\r\n\r\n", {"content-type": "multipart/form-data"}),
        (
            b"--XX\r\nContent-Disposition: nothing\r\n\r\nx\r\n--XX--\r\n",
            {"content-type": "multipart/form-data; boundary=XX"},
        ),
        (
            b'--XX\r\nContent-Disposition: form-data; name="email"\r\n\r\n\xff\xfe\r\n--XX--\r\n',
            {"content-type": "multipart/form-data; boundary=XX"},
        ),
    ],
)
async def test_malformed_forms_are_refused(body, headers):
    app, seen = signing_up()
    answer = await exchange(app, "POST", "/signup", body=body, headers=headers)
    assert answer.status in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert seen == []


async def test_another_media_type_or_coding_is_a_415():
    app, _ = signing_up()
    assert (await exchange(app, "POST", "/signup", json={"email": "a"})).status == 415
    assert (await exchange(app, "POST", "/signup", body=b"email=a")).status == 415
    answer = await exchange(app, "POST", "/signup", body=b"email=a", headers={**FORM, "content-encoding": "gzip"})
    assert answer.status == 415


async def test_more_fields_or_files_than_allowed_are_a_413():
    app, _ = signing_up(max_form_fields=3)
    assert (await exchange(app, "POST", "/signup", body=b"email=a&topics=1&topics=2", headers=FORM)).status == 204
    assert (await exchange(app, "POST", "/signup", body=b"email=a&topics=1&topics=2&x=3", headers=FORM)).status == 413
    body, headers = multipart(*[("topics", None, b"1")] * 4)
    assert (await exchange(app, "POST", "/signup", body=body, headers=headers)).status == 413
    app, _ = uploading(http={"max_form_files": 2})
    files = [("more", "m", b"1")] * 2
    body, headers = multipart(("title", None, b"T"), ("document", "d", b"1"), *files)
    assert (await exchange(app, "POST", "/upload", body=body, headers=headers)).status == 413
    body, headers = multipart(("title", None, b"T"), ("document", "d", b"1"), *files[:1])
    assert (await exchange(app, "POST", "/upload", body=body, headers=headers)).status == 204


async def test_a_form_larger_than_allowed_is_a_413():
    app, _ = uploading(max_body=1000)
    body, headers = multipart(("title", None, b"T"), ("document", "d", b"x" * 2000))
    assert (await exchange(app, "POST", "/upload", body=[body[:900], body[900:]], headers=headers)).status == 413
    assert (await exchange(app, "POST", "/upload", body=body, headers=headers)).status == 413


async def test_a_client_that_goes_away_while_sending_gets_no_answer():
    app, seen = signing_up()
    answer = await exchange(app, "POST", "/signup", body=b"email=", headers=FORM, disconnect=True)
    assert (answer.status, seen) == (0, [])
