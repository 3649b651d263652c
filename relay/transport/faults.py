"""Why a request got no answer, told by the types of exceptions and never by their words."""

import errno
import os
import ssl

import aiohttp

from relay.core.http import Fault, TransportError
from relay.core.text import one_line

_OURS = frozenset(
    {
        errno.EACCES,  # a firewall or a sandbox of this machine
        errno.EADDRNOTAVAIL,  # no local port is left
        errno.EAGAIN,  # nor a thread
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EPERM,
    }
)
"""Not EHOSTUNREACH, which the network around the other side reports.  TLS errors number theirs otherwise."""

_BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError, ConnectionError)


class ForbiddenAddress(OSError):
    """The address guard refused to connect."""


def classified(error: Exception, timeout_s: float, proxy: str | None = None) -> TransportError:
    """Return what kept the answer away, in words free of URLs; `proxy` is the host of the proxy on the way."""
    by_proxy = _of_proxy(error, proxy) if proxy is not None else None
    if by_proxy is not None:
        return by_proxy
    forbidden = _forbidden(error)
    if forbidden is not None:
        return TransportError(Fault.FORBIDDEN_ADDRESS, forbidden.strerror or "")
    if isinstance(error, TimeoutError):
        return TransportError(Fault.TIMEOUT, f"no complete answer within {timeout_s:g} s")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return TransportError(Fault.CERTIFICATE, _certificate_reason(error.certificate_error))
    if isinstance(error, aiohttp.ClientSSLError):
        return TransportError(Fault.TLS, _tls_reason(error.os_error))
    if isinstance(error, OSError) and error.errno in _OURS and not isinstance(error.__cause__, ssl.SSLError):
        return TransportError(Fault.LOCAL, os.strerror(error.errno))
    if isinstance(error, aiohttp.ClientConnectorDNSError):  # not above: a resolver may run out of files as well
        return TransportError(Fault.DNS, "the host name does not resolve")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError(Fault.CONNECT, _os_reason(error.os_error))
    if isinstance(error, _BROKEN):
        return TransportError(Fault.DISCONNECTED, "the connection broke before the answer was complete")
    if isinstance(error, ValueError):
        return TransportError(Fault.PROTOCOL, "the URL or a header is not valid")
    return TransportError(Fault.PROTOCOL, f"the answer is not proper HTTP ({type(error).__name__})")


def _of_proxy(error: Exception, proxy: str) -> TransportError | None:
    """Return what the proxy is to blame for; how to tell its refusals apart is RFC 9110, section 15."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        said = f"(HTTP {error.status})"
        if error.status >= 500:
            return TransportError(Fault.CONNECT, f"the egress proxy cannot reach the host {said}")
        if error.status == 407:
            return TransportError(Fault.LOCAL, f"the egress proxy wants other credentials {said}")
        return TransportError(Fault.FORBIDDEN_ADDRESS, f"the egress proxy refuses the way to the host {said}")
    if isinstance(error, aiohttp.ClientConnectorError) and error.host == proxy:
        return TransportError(Fault.LOCAL, "the egress proxy cannot be reached")
    return None


def _forbidden(error: BaseException) -> ForbiddenAddress | None:
    """Return the guard's own error from the chain that aiohttp wrapped around it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ForbiddenAddress):
            return seen
        if isinstance(seen, BaseExceptionGroup):
            return next((found for inner in seen.exceptions if (found := _forbidden(inner))), None)
        seen = getattr(seen, "os_error", None) or seen.__cause__ or seen.__context__
    return None


def _certificate_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return one_line(f"the certificate is not valid: {error.verify_message}")
    return "the certificate is not valid"


def _tls_reason(error: OSError) -> str:
    return one_line(f"TLS failed: {getattr(error, 'reason', None) or type(error).__name__}")


def _os_reason(error: OSError) -> str:
    """Return the system's words; it has none of its own where several addresses failed differently."""
    return os.strerror(error.errno) if error.errno else "none of the host's addresses takes a connection"
