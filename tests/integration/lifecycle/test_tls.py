"""TLS as clients meet it: handshakes, certificates that change, clients that must show one, the drain."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import ssl
import time
from pathlib import Path

import pytest

from support.certificates import authority
from support.process import Wire, served

HERE = Path(__file__).parent
CARRIERS = pytest.mark.parametrize("carrier", ["wire", "asgi"])


@pytest.fixture(scope="module")
def ca():
    return authority()


@pytest.fixture
def files(ca, tmp_path):
    ca.write(tmp_path, "one")
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    return tmp_path


def app(files, carrier="wire", **settings):
    variables = {"tls_certificate": files / "one.pem", "tls_key": files / "one.key", "carrier": carrier, **settings}
    return served(
        "lifecycle_app:service",
        HERE,
        SEAWALL_HTTP_HSTS_SECONDS="60",
        **{f"SEAWALL_SERVER_{name.upper()}": str(value) for name, value in variables.items()},
    )


def address(each):
    return "127.0.0.1", int(each.until(r"listening on https://127\.0\.0\.1:(\d+)")[1])


class Secure(Wire):
    """A raw connection over TLS."""

    def __init__(self, where, files, **options):
        super().__init__(where)
        self.context = ssl.create_default_context(cafile=files / "ca.pem")
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        for name, value in options.items():
            if name == "certificate":
                self.context.load_cert_chain(*value)
            else:
                setattr(self.context, name, value)
        self.plain = self.socket
        try:
            self.socket = self.context.wrap_socket(self.plain, server_hostname="localhost")
        except BaseException:
            self.plain.close()
            raise

    @property
    def name(self):
        """Whose certificate the server has shown."""
        return dict(part[0] for part in self.socket.getpeercert()["subject"])["commonName"]


@CARRIERS
def test_requests_are_answered_over_https(files, carrier):
    with app(files, carrier) as each:
        where = address(each)
        with Secure(where, files) as client:
            status, fields, body = client.get("/hello")
            assert (status, body) == (200, b'"hello"')
            assert fields["strict-transport-security"] == "max-age=60"
            assert client.socket.selected_alpn_protocol() == "http/1.1"
            assert client.socket.version() == "TLSv1.3"
            client.send("/hello")
            client.send("/nothing")
            assert [client.answer()[0], client.answer()[0]] == [200, 404]
        with Secure(where, files, maximum_version=ssl.TLSVersion.TLSv1_2) as client:
            assert client.get("/hello")[0] == 200
            assert "GCM" in client.socket.cipher()[0] or "CHACHA" in client.socket.cipher()[0]
        with Wire(where) as client:  # no TLS at all
            assert client.get("/hello")[0] == 0
        assert each.end() == 0


def test_old_versions_are_refused(files):
    with app(files, tls_minimum="1.3") as each:
        where = address(each)
        with pytest.raises(ssl.SSLError):
            Secure(where, files, maximum_version=ssl.TLSVersion.TLSv1_2)
        with Secure(where, files) as client:
            assert client.get("/hello")[0] == 200


class TestReload:
    @pytest.mark.parametrize("how", ["by itself", "SIGHUP"])
    def test_new_handshakes_use_new_files_and_old_connections_stay(self, ca, files, how):
        with app(files, keep_alive="30s") as each:
            where = address(each)
            with Secure(where, files) as old:
                assert (old.name, old.get("/hello")[0]) == ("one", 200)
                for certificate, name in zip(ca.write(files, "two"), ("one.pem", "one.key"), strict=True):
                    shutil.move(certificate, files / name)
                if how == "SIGHUP":
                    each.tell(signal.SIGHUP)
                each.until("certificate reloaded")
                with Secure(where, files) as new:
                    assert (new.name, new.get("/hello")[0]) == ("two", 200)
                assert old.get("/hello")[0] == 200
            assert each.end() == 0

    def test_broken_files_are_said_once_and_the_old_ones_stay(self, files):
        with app(files) as each:
            where = address(each)
            (files / "one.pem").write_text("nonsense")
            each.until("certificate not reloaded, the one in use stays: server.tls_certificate")
            with Secure(where, files) as client:
                assert (client.name, client.get("/hello")[0]) == ("one", 200)
            time.sleep(1.2)
            assert each.end() == 0
            assert each.output.count("not reloaded") == 1


class TestClientCertificates:
    @pytest.mark.parametrize("how", ["required", "optional"])
    def test_clients_show_one(self, ca, files, how):
        own, strangers = ca.write(files, "client"), authority("stranger").write(files, "stranger")
        with app(files, tls_client_ca=files / "ca.pem", tls_client=how) as each:
            where = address(each)
            with Secure(where, files, certificate=own) as client:
                assert client.get("/hello")[0] == 200
            assert answered(where, files) == (how == "optional")
            assert not answered(where, files, certificate=strangers)
            assert each.end() == 0


def answered(where, files, **options):
    """Return whether a request is answered; in TLS 1.3 a client learns of its refusal when it reads."""
    with contextlib.suppress(ssl.SSLError, OSError), Secure(where, files, **options) as client:
        return client.get("/hello")[0] == 200
    return False


class TestDrain:
    @CARRIERS
    def test_who_has_connected_before_is_answered_after(self, files, carrier):
        with app(files, carrier) as each:
            where = address(each)
            with Wire(where) as client:
                time.sleep(0.1)
                each.tell()
                time.sleep(0.4)
                context = ssl.create_default_context(cafile=files / "ca.pem")
                client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
                status, fields, _ = client.get("/hello")
                assert (status, fields["connection"]) == (200, "close")
            assert each.ended() == 0

    def test_connections_that_wait_to_be_accepted_are_answered(self, files):
        with app(files, drain_grace=0) as each:
            where = address(each)
            with Secure(where, files) as blocking:
                blocking.send("/block?seconds=0.7")
                each.until("in the call")
                waiting = [socket.create_connection(where, timeout=10) for _ in range(10)]
                each.tell()
                context = ssl.create_default_context(cafile=files / "ca.pem")
                for connection in waiting:
                    with context.wrap_socket(connection, server_hostname="localhost") as secure:
                        secure.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        assert secure.recv(65536).startswith(b"HTTP/1.1 200 ")
                assert blocking.answer()[0] == 200
            assert each.ended() == 0

    def test_a_handshake_that_never_comes_ends_it_a_second_later(self, files):
        with app(files) as each:
            where = address(each)
            with Wire(where):
                time.sleep(0.1)
                began = time.monotonic()
                assert each.end() == 0
                assert time.monotonic() - began < 3


def test_a_handshake_has_no_more_time_than_a_head(files):
    with (
        served(
            "lifecycle_app:service",
            HERE,
            SEAWALL_HTTP_HEAD_TIMEOUT="500ms",
            SEAWALL_SERVER_TLS_CERTIFICATE=str(files / "one.pem"),
            SEAWALL_SERVER_TLS_KEY=str(files / "one.key"),
        ) as each,
        Wire(address(each)) as client,
    ):
        began = time.monotonic()
        assert client.is_closed()
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_files_that_are_wrong_stop_the_start(ca, files, server):
    _, other = ca.write(files, "two")
    with app(files, server=server, tls_key=other) as each:
        assert each.ended() not in (0, None)
        assert f'server.tls_key = "{other}": it is not the key of' in each.output
        assert "Traceback" not in each.output


def test_granian_speaks_tls_and_http_2(files):
    import h2.config
    import h2.connection
    import h2.events

    with app(files, server="granian") as each:
        where = address(each)
        with Secure(where, files) as client:
            assert client.socket.selected_alpn_protocol() == "h2"
            connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            connection.initiate_connection()
            fields = [(":method", "GET"), (":path", "/hello"), (":authority", "localhost"), (":scheme", "https")]
            connection.send_headers(1, fields, end_stream=True)
            client.socket.sendall(connection.data_to_send())
            found, body, over = {}, b"", False
            while not over:
                for event in connection.receive_data(client.socket.recv(65536)):
                    found |= dict(event.headers) if isinstance(event, h2.events.ResponseReceived) else {}
                    body += event.data if isinstance(event, h2.events.DataReceived) else b""
                    over = over or isinstance(event, h2.events.StreamEnded)
                client.socket.sendall(connection.data_to_send())
            assert (found[":status"], body) == ("200", b'"hello"')
            assert found["strict-transport-security"] == "max-age=60"
            assert "connection" not in found
        assert each.end() == 0
        assert json.loads(each.output.splitlines()[-1])["requests"] == 1
