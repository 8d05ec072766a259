"""Which addresses an agent may have."""

from __future__ import annotations

import pytest

from agentroute.registry.addresses import address_problem

FINE = [
    "https://models.example.com/v1",
    "https://models.example.com:8443/v1/",
    "https://8.8.8.8/v1",
    "https://[2606:4700:4700::1111]/v1",
    "http://localhost:11434",
    "http://LOCALHOST/v1",
    "http://127.0.0.1:8000/v1",
    "http://127.9.9.9/v1",
    "http://[::1]:8000/v1",
    "http://[::ffff:127.0.0.1]/v1",
    "https://xn--mller-kva.example/v1",
]
PRIVATE = [
    "https://10.0.0.1/v1",
    "http://192.168.1.20:8000/v1",
    "https://172.16.0.1/v1",
    "https://100.64.0.1/v1",
    "https://0.0.0.0/v1",
    "https://[fd00::1]/v1",
    "https://[::ffff:10.0.0.1]/v1",
    "https://[64:ff9b::10.0.0.1]/v1",
    "https://[2002:a00:1::]/v1",
    "https://[::10.0.0.1]/v1",
    "http://ollama:11434",
    "https://printer.local/v1",
    "https://models.internal./v1",
]
NEVER = [
    "https://169.254.169.254/latest",
    "http://[fe80::1]/v1",
    "http://[fe80::1%25eth0]/v1",
    "https://[::ffff:169.254.169.254]/v1",
    "http://2130706433/v1",
    "http://0x7f000001/v1",
    "http://0177.0.0.1/v1",
    "http://127.1/v1",
    "http://0x7f.0.0.1/v1",
    "http://127.0.0.1.:80000/v1",
    "https://user:secret@models.example.com/v1",
    "https://localhost@models.example.com/v1",
    "https://@models.example.com/v1",
    "https://models.example.com/v1?key=secret",
    "https://models.example.com/v1#secret",
    "https://models.example.com\\@localhost/v1",
    "https://models .example.com/v1",
    "https://mödels.example.com/v1",
    "https://models%2eexample.com/v1",
    "https:///v1",
    "https://[::1/v1",
    "https://models.example.com:99999/v1",
    "http://models.example.com/v1",
    "http://localhost.example.com/v1",
    "file:///etc/passwd",
    "ftp://models.example.com",
    "gopher://localhost",
    "models.example.com/v1",
    "localhost:11434",
    "//models.example.com",
    "",
]


@pytest.mark.parametrize("url", FINE)
def test_public_https_and_this_machine_are_fine(url: str) -> None:
    assert address_problem(url) is None
    assert address_problem(url, allow_private=True) is None


@pytest.mark.parametrize("url", PRIVATE)
def test_private_networks_are_for_the_caller_to_allow(url: str) -> None:
    assert "private network" in str(address_problem(url))
    assert address_problem(url, allow_private=True) is None


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_some_addresses_are_never_allowed_and_their_secrets_not_repeated(
    url: str, allow_private: bool
) -> None:
    problem = address_problem(url, allow_private=allow_private)
    assert problem is not None
    assert "secret" not in problem
