from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from remote_kit import load, things

import batchflow as bf
from batchflow.errors import EngineStateError, InvalidOptionError, StoreError

TOKEN = "a token that is hard to guess"


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "root.pem")
    issued = made.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    return made


@pytest.fixture
def address(authority: trustme.CA, tmp_path: Path) -> Iterator[str]:
    listen = bf.Listen(
        certificate=tmp_path / "certificate.pem", key=tmp_path / "key.pem", token=TOKEN
    )
    path, config = tmp_path / "things.duckdb", bf.EngineConfig(listen=listen)
    with bf.Engine(path, things(), workers=0, config=config) as engine:
        load(engine, 5)
        yield f"grpc+tls://localhost:{engine.ports[0]}"


def test_a_client_with_the_token_is_served(address: str, tmp_path: Path) -> None:
    with bf.connect(address, token=TOKEN, certificate=tmp_path / "root.pem") as client:
        assert client.counts().select("runs").fetchall() == [(5,)]
        assert client.pause("number < 2").changed == 2


@pytest.mark.parametrize("token", [None, "", TOKEN + "x"])
def test_a_client_without_the_token_is_refused(
    address: str, tmp_path: Path, token: str | None
) -> None:
    with pytest.raises(StoreError, match="token"):
        bf.connect(address, token=token, certificate=tmp_path / "root.pem")


def test_a_server_with_an_unknown_certificate_is_not_trusted(address: str, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(StoreError):
        bf.connect(address, token=TOKEN, certificate=tmp_path / "other.pem")


def test_a_token_that_is_soon_guessed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="at least 16"):
        bf.Listen(certificate="a", key="b", token="1234")
    assert TOKEN not in repr(bf.Listen(certificate="a", key="b", token=TOKEN))


def test_a_missing_certificate_is_reported_and_the_store_is_closed(tmp_path: Path) -> None:
    listen = bf.Listen(certificate=tmp_path / "none.pem", key=tmp_path / "none.pem", token=TOKEN)
    path = tmp_path / "things.duckdb"
    with pytest.raises(EngineStateError, match=r"none\.pem"):
        bf.Engine(path, things(), workers=0, config=bf.EngineConfig(listen=listen))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    bf.Engine(path, things(), workers=0).close()
