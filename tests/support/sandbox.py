"""A process as systemd would confine it, without systemd: `python sandbox.py UNIT COMMAND...`.

Reads the directives of a unit's [Service] section, applies those that a process
can apply to itself and its children, and becomes the command.  What a name of a
group such as "@system-service" stands for is asked of `systemd-analyze`, and how
the kernel numbers a call of libseccomp: neither is known here.

Needs nothing but the standard library, for it runs before the confined program.
"""

import ctypes
import errno
import mmap
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

_LIBSECCOMP = "libseccomp.so.2"
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 23, 24, 38, 65
_MDWE_REFUSE_EXEC_GAIN = 1
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LESS, _EQUAL, _GREATER, _MASKED_EQUAL = 2, 4, 6, 7
_SHM_EXEC = 0o100000
_UNKNOWN_CALL = -1
_NAMESPACES = {
    "time": 0x80, "mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
"""The CLONE_NEW* flags of linux/sched.h."""


class _Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp` of seccomp.h."""

    _fields_ = (
        ("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)
    )  # fmt: skip


def unit_of(path: Path) -> dict[str, list[str]]:
    """Return the values of each directive of [Service], in the order of the file."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in map(str.strip, path.read_text().splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def missing() -> str | None:
    """Return why this machine cannot confine a process as a unit does, or None where it can."""
    if sys.platform != "linux":
        return "the kernel has no seccomp filters"
    if shutil.which("systemd-analyze") is None:
        return "systemd-analyze, which knows the groups of system calls, is not here"
    try:
        ctypes.CDLL(_LIBSECCOMP)
    except OSError:
        return f"{_LIBSECCOMP} is not here"
    if not members("@default"):
        return "systemd-analyze knows no groups of system calls"
    if "Seccomp:" not in Path("/proc/self/status").read_text():
        return "the kernel was built without seccomp filters"
    return None


@cache
def members(name: str) -> frozenset[str]:
    """Return the calls that a name in SystemCallFilter= stands for."""
    if not name.startswith("@"):
        return frozenset({name})
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=False
    )
    lines = (line.strip() for line in done.stdout.splitlines()[1:])
    return frozenset().union(*(members(line) for line in lines if line and not line.startswith("#")))


def allowed_calls(lines: Sequence[str]) -> frozenset[str]:
    """Return what SystemCallFilter= allows in a unit that begins with a list of what is allowed (systemd.exec(5))."""
    allowed = members("@default")
    for line in lines:
        names = frozenset[str]().union(*(members(name) for name in line.removeprefix("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def within(kind: int, limit: int) -> int:
    """Return a limit, or what this user may have of it."""
    _, hard = resource.getrlimit(kind)
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def confine(unit: Mapping[str, Sequence[str]]) -> None:
    """Apply what a process can apply to itself; what needs mounts, users or control groups is left to systemd."""
    calls = allowed_calls(unit["SystemCallFilter"])
    libc = ctypes.CDLL(None, use_errno=True)
    for name, values in unit.items():
        if name.startswith("Limit"):
            kind = getattr(resource, f"RLIMIT_{name.removeprefix('Limit')}")
            limit = within(kind, int(values[-1]))
            resource.setrlimit(kind, (limit, limit))
    os.umask(int(unit["UMask"][-1], 8))
    if unit["CapabilityBoundingSet"] == [""]:
        _drop_capabilities(libc)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        libc.prctl(_PR_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # since Linux 6.3; the filter below does without
        _load(_ALLOW, _writable_code())
    if unit["RestrictNamespaces"] == ["yes"]:
        _load(_ALLOW, _namespaces())
    _load(_ALLOW, _families(unit["RestrictAddressFamilies"][-1].split()))
    refusal = _ERRNO | getattr(errno, unit["SystemCallErrorNumber"][-1])
    _load(refusal, ((call, _ALLOW, None) for call in calls))


_Rule = tuple[str, int, _Comparison | None]


def _writable_code() -> Iterator[_Rule]:
    """Yield the rules of MemoryDenyWriteExecute= where the kernel has no PR_SET_MDWE (systemd.exec(5))."""
    both, refused = mmap.PROT_WRITE | mmap.PROT_EXEC, _ERRNO | errno.EPERM
    yield "mmap", refused, _Comparison(2, _MASKED_EQUAL, both, both)
    for call in ("mprotect", "pkey_mprotect"):
        yield call, refused, _Comparison(2, _MASKED_EQUAL, mmap.PROT_EXEC, mmap.PROT_EXEC)
    yield "shmat", refused, _Comparison(2, _MASKED_EQUAL, _SHM_EXEC, _SHM_EXEC)


def _namespaces() -> Iterator[_Rule]:
    """Yield the rules of RestrictNamespaces=yes: clone3, whose flags no filter sees, is said not to be there."""
    refused = _ERRNO | errno.EPERM
    for flag in _NAMESPACES.values():
        for call in ("clone", "unshare"):
            yield call, refused, _Comparison(0, _MASKED_EQUAL, flag, flag)
    yield "setns", refused, None
    yield "clone3", _ERRNO | errno.ENOSYS, None


def _families(names: Sequence[str]) -> Iterator[_Rule]:
    """Yield the rules of RestrictAddressFamilies=, a list of those that are allowed."""
    allowed = sorted(int(getattr(socket, name)) for name in names)
    refused = _ERRNO | errno.EAFNOSUPPORT
    yield "socket", refused, _Comparison(0, _LESS, allowed[0], 0)
    yield "socket", refused, _Comparison(0, _GREATER, allowed[-1], 0)
    for family in set(range(allowed[0], allowed[-1])) - set(allowed):
        yield "socket", refused, _Comparison(0, _EQUAL, family, 0)


def _load(otherwise: int, rules: Iterator[_Rule]) -> None:
    """Add a filter to those in force; a call passes where all of them let it."""
    seccomp = ctypes.CDLL(_LIBSECCOMP)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    made = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(otherwise)))
    for name, action, comparison in rules:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN_CALL:  # newer than this library, or another architecture's
            continue
        given = (_Comparison * 1)(*([comparison] if comparison else []))
        count = ctypes.c_uint(1 if comparison else 0)
        _check(seccomp.seccomp_rule_add_array(made, ctypes.c_uint32(action), number, count, given))
    _check(seccomp.seccomp_load(made))
    seccomp.seccomp_release(made)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    number = 0
    while libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # refused to those who have none to drop
        number += 1


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, "the sandbox cannot be set up")


if __name__ == "__main__":
    confine(unit_of(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
