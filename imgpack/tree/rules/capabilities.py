"""File capabilities from the text that setcap(8) takes.

Sources: cap_from_text(3) of libcap 2.66, and ``linux/capability.h`` for the attribute
``security.capability``. Invariant: the same text gives the same bytes on every host; ``all``
is the 41 capabilities up to ``cap_checkpoint_restore``, where setcap asks the running kernel.
"""

import re
import struct
from typing import Final

from imgpack.errors import ConfigError, quoted

NAMES: Final = """
chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
""".split()  # noqa: SIM905
"""In the order of their numbers."""
_NUMBERS: Final = {f"cap_{name}": number for number, name in enumerate(NAMES)}
_ALL: Final = (1 << len(NAMES)) - 1
_LARGEST: Final = 63
_REVISION_2: Final = 0x02000000
_EFFECTIVE: Final = 1
_CLAUSE: Final = re.compile(
    r"()(=[eip]*)|([A-Za-z0-9_,]+)((?:=[eip]*|=?[-+][eip]+)(?:[-+][eip]+)*)", re.ASCII
)
_ACTION: Final = re.compile(r"(=[-+]?|[-+])([eip]*)")


def capability(text: str) -> bytes | None:
    """The value of ``security.capability``; ``None`` if no capability is left.

    Raises ``ConfigError`` for what is no capability, and for sets that no file can have:
    the effective ones are one bit, for all that are permitted or inheritable.
    """
    sets = {"e": 0, "i": 0, "p": 0}
    for clause in text.split():
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise _refused(text, f"{quoted(clause)} is no clause of them")
        listed = _listed(found[3] or "all", text)
        for operator, flags in _ACTION.findall(found[2] or found[4]):
            for flag in sets:
                if operator[0] == "=":
                    sets[flag] &= ~listed
                if flag in flags:
                    sets[flag] = sets[flag] & ~listed if "-" in operator else sets[flag] | listed
    effective, inheritable, permitted = sets["e"], sets["i"], sets["p"]
    had = permitted | inheritable
    if effective and (not had or had & ~effective):
        raise _refused(
            text, "a file's effective ones are all that are permitted or inheritable, or none"
        )
    if not had:
        return None
    words = (permitted, inheritable, permitted >> 32, inheritable >> 32)
    magic = _REVISION_2 | (_EFFECTIVE if effective else 0)
    return struct.pack("<5I", magic, *(word & 0xFFFFFFFF for word in words))


def _listed(names: str, text: str) -> int:
    bits = 0
    for name in names.lower().split(","):
        if name == "all":
            bits |= _ALL
        elif name in _NUMBERS:
            bits |= 1 << _NUMBERS[name]
        elif name.isdigit() and len(name) <= 3 and int(name) <= _LARGEST:
            bits |= 1 << int(name)
        else:
            raise _refused(text, f"there is no {quoted(name)}")
    return bits


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"{quoted(text)} are no capabilities of a file: {why}",
        "write them as setcap takes them: cap_net_bind_service+ep",
    )
