from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from seawall.problems import ConfigurationError
from seawall.settings import ServerSettings
from seawall.settings.errors import SettingsError
from seawall.settings.loading import load
from seawall.tls import Certificates, TlsFiles, tls_files
from support.certificates import authority

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def ca():
    return authority()


@pytest.fixture
def files(ca, tmp_path):
    certificate, key = ca.write(tmp_path, "shop", begins=NOW - timedelta(days=1), ends=NOW + timedelta(days=90))
    return TlsFiles(certificate, key)


def wrong(files, *words, now=NOW):
    with pytest.raises(ConfigurationError) as caught:
        files.load(now)
    for word in words:
        assert word in str(caught.value)


def test_good_files_are_loaded(files):
    context, certificate = files.load(NOW)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=90)
    assert context.minimum_version.name == "TLSv1_2"
    ciphers = {cipher["name"] for cipher in context.get_ciphers()}
    assert not any(word in name for name in ciphers for word in ("CBC", "SHA1", "RC4", "3DES", "SHA "))


def test_one_file_may_hold_both(files):
    both = files.certificate.with_name("both.pem")
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    settings = ServerSettings(tls_certificate=str(both))
    made = tls_files(settings)
    assert made is not None
    made.load(NOW)


def test_without_a_certificate_there_is_no_tls():
    assert tls_files(ServerSettings()) is None


def test_a_missing_file_is_named(files, tmp_path):
    gone = tmp_path / "gone.pem"
    wrong(replace(files, certificate=gone), f'server.tls_certificate = "{gone}"', "No such file")
    wrong(replace(files, key=gone), f'server.tls_key = "{gone}"', "No such file", "may read")
    wrong(replace(files, client_ca=gone), f'server.tls_client_ca = "{gone}"', "No such file")
    wrong(replace(files, key=tmp_path), "server.tls_key", "Is a directory")


def test_what_is_no_pem_is_named(files, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"\x30\x82\x01\x00")
    wrong(replace(files, certificate=other), "server.tls_certificate", "BEGIN CERTIFICATE")
    wrong(replace(files, key=other), "server.tls_key", "BEGIN PRIVATE KEY")
    wrong(replace(files, key=files.certificate), "server.tls_key", "no key in it")
    wrong(replace(files, client_ca=other), "server.tls_client_ca", "no certificate in it")


def test_a_key_of_another_certificate_is_named(files, ca, tmp_path):
    _, other = ca.write(tmp_path, "other")
    wrong(replace(files, key=other), f'server.tls_key = "{other}"', f"not the key of {files.certificate}")


def test_an_encrypted_key_needs_its_password(ca, tmp_path):
    certificate, key = ca.write(tmp_path, "locked", begins=NOW, ends=NOW + timedelta(days=90), password="right")
    wrong(TlsFiles(certificate, key), "server.tls_key", "encrypted", "SEAWALL_SERVER_TLS_KEY_PASSWORD")
    with pytest.raises(ConfigurationError) as caught:
        TlsFiles(certificate, key, "wrong-one").load(NOW)
    assert "server.tls_key_password does not open it" in str(caught.value)
    assert "wrong-one" not in str(caught.value)
    TlsFiles(certificate, key, "right").load(NOW)


def test_a_password_nobody_needs_does_no_harm(files):
    replace(files, password="any").load(NOW)


def test_a_certificate_out_of_its_time_is_named(files):
    wrong(files, "server.tls_certificate", "expired on 2027-02-23", "renew", now=NOW + timedelta(days=91))
    wrong(files, "server.tls_certificate", "not valid before", "clock", now=NOW - timedelta(days=2))


def test_tls_settings_without_a_certificate_are_refused(tmp_path):
    (tmp_path / "seawall.toml").write_text('[server]\ntls_key = "k"\ntls_client_ca = "c"\n')
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "seawall.toml", {})
    assert str(caught.value).count("tls_certificate is not set") == 2


def test_the_password_is_not_shown():
    settings = ServerSettings(tls_certificate="c", tls_key_password="hunter2")
    assert "hunter2" not in repr(settings)


class _At:
    """What `Certificates` asks of a clock."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


class TestReload:
    @pytest.fixture
    def used(self, ca, tmp_path):
        certificate, key = ca.write(tmp_path, "used")
        return Certificates(TlsFiles(certificate, key), _At(time.time()))

    def renew(self, ca, used, tmp_path, **options):
        folder = tmp_path / "new"
        folder.mkdir(exist_ok=True)
        certificate, key = ca.write(folder, "used", **options)
        shutil.move(certificate, used.files.certificate)
        shutil.move(key, used.files.key)

    def test_files_that_stay_are_not_read(self, used):
        before = used.context.current
        for _ in range(3):
            used.look()
        assert used.context.current is before

    def test_files_that_change_are_read_once_they_rest(self, ca, used, tmp_path, caplog):
        before = used.context.current
        self.renew(ca, used, tmp_path)
        used.look()
        assert used.context.current is before, "the second file may be about to come"
        with caplog.at_level(logging.INFO, "seawall"):
            used.look()
        assert used.context.current is not before
        assert [record.message for record in caplog.records] == ["certificate reloaded"]
        after = used.context.current
        used.look()
        assert used.context.current is after

    def test_what_is_broken_is_said_once_and_the_old_one_stays(self, ca, used, tmp_path, caplog):
        before = used.context.current
        used.files.key.write_text("nonsense")
        for _ in range(5):
            used.look()
        assert used.context.current is before
        (record,) = caplog.records
        assert "certificate not reloaded, the one in use stays: server.tls_key" in record.message
        self.renew(ca, used, tmp_path)
        used.look()
        used.look()
        assert used.context.current is not before

    def test_files_that_are_gone_for_a_moment_change_nothing(self, ca, used, tmp_path, caplog):
        before = used.context.current
        kept = used.files.key.read_bytes(), used.files.key.stat()
        moved = tmp_path / "moved"
        used.files.key.rename(moved)
        used.look()
        moved.rename(used.files.key)
        used.look()
        used.look()
        assert used.files.key.read_bytes() == kept[0]
        assert used.context.current is before
        assert caplog.records == []

    def test_one_that_ends_soon_is_a_warning(self, ca, tmp_path, caplog):
        certificate, key = ca.write(tmp_path, "soon", ends=datetime.now(UTC) + timedelta(days=3))
        Certificates(TlsFiles(certificate, key), _At(time.time()))
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "ends in 3.0 days" in record.message
