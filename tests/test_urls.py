from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from ir2search.urls import parse_url, recorded_argument, without_secrets

RECORDED = {
    "digits": "digits",
    "--data": "--data",
    "/a:b/c": "/a:b/c",
    "C:/images": "C:/images",
    "me@example.org": "me@example.org",
    "postgresql+psycopg://me:pw@host:5432/lab?sslmode=require": "postgresql+psycopg://host/lab",
    "--storage=postgresql://me:pw@host/lab?pwd=pw": "--storage=postgresql://host/lab",
    "postgresql://me@corp:p w@host/lab": "postgresql://host/lab",
    "postgresql://me:p@w@host/lab": "...",
    "postgresql://me:pw@host:port/lab": "...",
    "postgresql://host/lab;password=pw": "postgresql://host/lab",
    "postgresql://host/lab#pw": "postgresql://host/lab",
    "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dpw": "mssql+pyodbc:///",
    "grpc://host:1": "grpc://host/",
    "grpc://me:pw@host:x": "...",
    "me:pw@host/lab": "...",
    "--storage=me:pw@host": "--storage=...",
    "://pw": "...",
}


@pytest.mark.parametrize("argument", RECORDED)
def test_an_argument_is_recorded_without_secrets(argument: str) -> None:
    assert recorded_argument(argument) == RECORDED[argument]


def test_a_url_that_is_shown_has_no_setting_that_may_be_a_secret() -> None:
    given = "postgresql+psycopg://me%40corp:pw@/lab?host=/run/pg&pwd=pw&passfile=x&sslmode=require"
    shown = without_secrets(make_url(given)).render_as_string()
    assert shown == "postgresql+psycopg://me%40corp@/lab?host=%2Frun%2Fpg&sslmode=require"


@pytest.mark.parametrize("given", ["", "x", "a://b:c", "a://me%3Apw@host", "a://me:p@w@host"])
def test_a_url_that_may_be_misread_is_none(given: str) -> None:
    assert parse_url(given) is None
