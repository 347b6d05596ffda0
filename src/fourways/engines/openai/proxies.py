"""Which proxy, if any, the environment names for a server (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)."""

from __future__ import annotations

import base64
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import httpx

from fourways.core.errors import UserError


def find_proxy(url: httpx.URL) -> httpx.URL | None:
    """The proxy for this URL, None for a direct connection. Raises UserError for one that is not spoken to by HTTP."""
    where = url.host if url.port is None else f"{url.host}:{url.port}"
    named = getproxies()
    text = named.get(url.scheme) or named.get("all")
    if not text or proxy_bypass(where):
        return None
    try:
        proxy = httpx.URL(text if "://" in text else f"http://{text}")
    except (httpx.InvalidURL, ValueError):
        raise UserError("the proxy that the environment names cannot be read as a URL") from None
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise UserError(
            f"the environment names a proxy of scheme {proxy.scheme!r}, and only http and https are known here",
            hint="name the server in NO_PROXY, or another proxy",
        )
    return proxy


def credentials(url: httpx.URL) -> str | None:
    """User and password of a URL as the value of an Authorization header (RFC 7617)."""
    if not url.userinfo:
        return None
    user, _, password = url.userinfo.decode("ascii").partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(pair).decode('ascii')}"
