"""Passwords, tokens and signatures of URLs are replaced, and nothing else of a text."""

from __future__ import annotations

import pytest

from batchflow.credentials import without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIA:hunter2@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("s3://AKIA:hun/ter@2@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("/home/s3:/AKIA:hunter2@bucket/a.csv", "/home/s3:/***@bucket/a.csv"),
        ("https://hunter2@host/a.csv", "https://***@host/a.csv"),
        ("postgresql+psycopg://john:hunter2@db:5432/x", "postgresql+psycopg://***@db:5432/x"),
        (
            "a 's3://a:hunter2@b' and 'ftp://c:hunter2@d'",
            "a 's3://***@b' and 'ftp://***@d'",
        ),
        (
            "https://h/a?X-Amz-Signature=hunter2&part=2&X-Amz-Credential=AKIA%2F1",
            "https://h/a?X-Amz-Signature=***&part=2&X-Amz-Credential=***",
        ),
        ("https://h/a?sv=2024&sig=hunter2%3D#b", "https://h/a?sv=2024&sig=***#b"),
        ("(with url: /a?access_token=hunter2)", "(with url: /a?access_token=***"),
        ("https://h/#id_token=hunter2", "https://h/#id_token=***"),
        ("host=db user=john password=hunter2", "host=db user=john password=***"),
        ("job.py --api-key=hunter2 --name=x", "job.py --api-key=*** --name=x"),
    ],
)
def test_credentials_are_replaced(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
    assert without_credentials(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/john@example.org/a.csv",
        "https://host:8080/a@b.csv",
        "grpc+tls://[::1]:8815",
        "https://host/a?design=1&author=2&keyword=3",
        "at 12:30 john@example.org",
        "key = 3, token=4",
        "/data/key=5/a.csv",
    ],
)
def test_other_text_is_unchanged(text: str) -> None:
    assert without_credentials(text) == text
