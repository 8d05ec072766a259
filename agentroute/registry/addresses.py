"""Which addresses an agent may be reached at: https anywhere public, http on this machine only."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|\d+)(\.(0[xX][0-9a-fA-F]*|\d+))*\.?")
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*\.?")
_NAT64 = IPv6Network("64:ff9b::/96")
_OWN = ".local", ".internal", ".lan", ".home.arpa"


def address_problem(url: str, *, allow_private: bool = False) -> str | None:
    """Check an ``api_base`` without looking it up.

    Args:
        url: The address from a registry.
        allow_private: Whether the caller, never the file, allows private networks, there also over http.

    Returns:
        The broken rule and its remedy, or ``None``. Never a password or a query string of the address.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not an address; write https://host/path"
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        return f"has the scheme {scheme[:20]!r}, but only https and http are allowed; write https://host/path"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "holds a user name or password; remove it and name the variable of the key in api_key_env"
    if parts.query or parts.fragment or re.search(r"[\s\\]", url):
        return "must be scheme, host, port and path only; remove what follows '?' or '#', and spaces"
    try:
        where = _reach(host)
    except ValueError as error:
        return str(error)
    if where == "link-local":
        return (
            f"points to {host}, a link-local or metadata address, where no model lives; give the model's own"
        )
    if where == "private" and not allow_private:
        return (
            f"points to {host}, on a private network, which only the caller may allow (allow_private=True);"
            " give a public address or one on this machine"
        )
    if where == "public" and scheme == "http":
        return f"is http to {host}, off this machine, where a key could be read on the way; write https"
    return None


def _reach(host: str) -> str:
    """Say ``loopback | private | link-local | public``; ``ValueError`` carries the message for a bad host."""
    plain = host.rstrip(".").lower()
    if plain == "localhost":
        return "loopback"
    try:
        address = _unwrapped(ip_address(plain.partition("%")[0]))
    except ValueError:
        if _NUMERIC.fullmatch(host):
            raise ValueError(
                "has a host in an unusual number form; write it as 127.0.0.1 or as a name"
            ) from None
        if not _NAME.fullmatch(host):
            raise ValueError("has no usable host; write https://host/path in plain ASCII") from None
        return "private" if "." not in plain or plain.endswith(_OWN) else "public"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    return "public" if address.is_global and not address.is_multicast else "private"


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or 1 < int(address) < 2**32:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
