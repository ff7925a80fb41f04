"""References resolve to values that the redactor knows; errors name the reference, never the value."""

import os

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import MARK, Redactor
from soc_deploy_mcp.tools.secrets import Secrets

VALUE = "hunter-number-two"


def secrets(environ=None):
    redactor = Redactor()
    return Secrets(environ or {}, redactor), redactor


def secret_file(tmp_path, content=VALUE + "\n", mode=0o600):
    path = tmp_path / "db"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def unresolved(store, reference):
    with pytest.raises(DeployError) as caught:
        store.resolve(reference)
    assert caught.value.code == "E_SECRET_UNRESOLVED"
    assert caught.value.try_
    assert not store.exists(reference)
    return caught.value


def test_a_value_is_registered_before_it_is_returned(tmp_path):
    store, redactor = secrets({"TOKEN": VALUE})
    seen = store.resolve("env:TOKEN")
    assert seen.get_secret_value() == VALUE
    assert VALUE not in repr(seen)
    assert redactor.text(f"it is {VALUE}") == f"it is {MARK}"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_is_read_without_its_last_line_break(tmp_path, mode):
    store, redactor = secrets()
    reference = f"file:{secret_file(tmp_path, mode=mode)}"
    assert store.exists(reference)
    assert store.resolve(reference).get_secret_value() == VALUE
    assert MARK in redactor.text(VALUE)


def test_line_breaks_inside_a_file_are_kept(tmp_path):
    store, _ = secrets()
    path = secret_file(tmp_path, "line-number-one\r\nline-number-two\r\n\n")
    assert store.resolve(f"file:{path}").get_secret_value() == "line-number-one\r\nline-number-two\r\n"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700, 0o444])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    error = unresolved(secrets()[0], f"file:{secret_file(tmp_path, mode=mode)}")
    assert f"{mode:04o}" in error.why
    assert error.try_.startswith("chmod 600 ")


def test_what_leads_nowhere_is_named(tmp_path):
    store, redactor = secrets({"EMPTY": ""})
    assert "env:MISSING is not set" in unresolved(store, "env:MISSING").what
    assert "env:EMPTY is empty" in unresolved(store, "env:EMPTY").what
    assert "no such file" in unresolved(store, f"file:{tmp_path}/none").what
    assert "no plain file" in unresolved(store, f"file:{tmp_path}").what
    assert "no absolute path" in unresolved(store, "file:relative").what
    assert "is empty" in unresolved(store, f"file:{secret_file(tmp_path, '')}").what
    noise = secret_file(tmp_path, bytes([255, 254, 250]) * 9)
    assert "no UTF-8" in unresolved(store, f"file:{noise}").what
    assert "larger" in unresolved(store, f"file:{secret_file(tmp_path, 'x' * 70_000)}").what
    assert redactor.text("x" * 100) == "x" * 100


def test_a_named_pipe_is_no_secret(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "no plain file" in unresolved(secrets()[0], f"file:{tmp_path}/pipe").what


def test_a_value_in_place_of_a_reference_is_never_shown():
    for value in (VALUE, "vault:secret/db#password", "https://user:pass@host"):
        error = unresolved(secrets()[0], value)
        assert value not in f"{error} {error.what} {error.why} {error.try_}"
