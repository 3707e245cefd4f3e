"""File capabilities: setcap's text, and the bytes that it writes."""

import pytest

from imgpack.errors import ConfigError
from imgpack.tree.rules.capabilities import NAMES, capability


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cap_net_raw+ep", "0100000200200000000000000000000000000000"),
        ("CAP_NET_RAW+ep", "0100000200200000000000000000000000000000"),
        ("cap_net_bind_service=+ep", "0100000200040000000000000000000000000000"),
        ("cap_net_bind_service=ep", "0100000200040000000000000000000000000000"),
        ("cap_net_raw,cap_net_admin+eip", "0100000200300000003000000000000000000000"),
        ("cap_net_raw+p", "0000000200200000000000000000000000000000"),
        ("cap_net_raw+i", "0000000200000000002000000000000000000000"),
        ("cap_checkpoint_restore+ep", "0100000200000000000000000001000000000000"),
        ("40+ep", "0100000200000000000000000001000000000000"),
        ("=ep", "01000002ffffffff00000000ff01000000000000"),
        ("all=ep", "01000002ffffffff00000000ff01000000000000"),
        ("all+ep cap_chown-p", "01000002feffffff00000000ff01000000000000"),
        ("all+ep cap_chown-ep", "01000002feffffff00000000ff01000000000000"),
        ("all+ep cap_chown=", "01000002feffffff00000000ff01000000000000"),
    ],
)
def test_capabilities_are_the_bytes_that_setcap_writes(text: str, value: str) -> None:
    """Version 2 of the attribute, in which effective is one bit."""
    found = capability(text)

    assert found is not None and found.hex() == value


@pytest.mark.parametrize("text", ["", "=", "cap_net_raw=", "cap_chown+p-p", "all=p cap_kill-p ="])
def test_without_any_capability_there_is_no_attribute(text: str) -> None:
    """So a file loses those that it has."""
    assert capability(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "cap_chown=p cap_fowner+e", "cap_net_raw=ep cap_sys_admin=i", "cap_net_raw+", "+ep", "=+ep",
        "=p+i", "cap_chown=p=i", "64+ep", "net_raw+ep", ",cap_chown+p", "cap_chown+P", "cap_chown",
        "cap_net_raw=+", "cap_net_raw+e", "cap_\N{KELVIN SIGN}ill+p",
        "\N{ARABIC-INDIC DIGIT ONE}+p",
    ],
)  # fmt: skip
def test_what_setcap_refuses_is_refused(text: str) -> None:
    """And what no file can have: capabilities of which a part is effective."""
    with pytest.raises(ConfigError, match=r"are no capabilities of a file: .*setcap"):
        capability(text)


def test_every_capability_has_its_number() -> None:
    """The order is the kernel's: the last one is 40."""
    for number, name in enumerate(NAMES):
        assert capability(f"cap_{name}+p") == capability(f"{number}+p")
    assert len(NAMES) == 41
