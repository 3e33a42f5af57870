"""What tests/conftest.py promises to all tests."""

import os
import socket

import pytest


def test_nothing_connects_to_another_machine() -> None:
    with socket.socket() as connection, pytest.raises(RuntimeError, match="tried to connect to 192"):
        connection.connect(("192.0.2.1", 80))


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connection:
        assert connection.getpeername() == server.getsockname()


def test_no_setting_of_the_developer_gets_in() -> None:
    assert [name for name in os.environ if name.startswith(("RUNLLM_", "TEMPORAL_"))] == []
