"""What a registry may make imgpack do: origins, realms, locations, redirects, links, redaction."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import UnsafeError
from imgpack.registry.http.url_policy import (
    Origin,
    Reach,
    check_link,
    check_location,
    check_realm,
    clean,
    is_loopback,
    literal_address,
    reach_of_address,
    reach_of_name,
    redact,
)

HOME = Origin("https", "registry.example.com", 443)
HERE = "https://registry.example.com/v2/a/blobs/uploads/"

PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "0",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "192.0.0.192",
    "192.0.0.8",
    "[fec0::1]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2001:0:7f00:1::]",
    "[fd20:ce::254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "metadata.google.internal",
]


def test_an_origin_is_scheme_host_and_port() -> None:
    """The default port is filled in, the host is lower case and has no trailing dot."""
    assert Origin.of("https://Registry.Example.com./x") == HOME
    assert Origin.of("https://registry.example.com:443") == HOME
    assert Origin.of("http://registry.example.com") != HOME
    assert Origin.of("https://registry.example.com:444") != HOME
    assert str(Origin.of("http://[::1]:5000/v2/")) == "http://[::1]:5000"
    assert str(HOME) == "https://registry.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://a b/",
        "https://a\\@b/",
        "https://a\r\nX: y/",
        "https://ä.example/",
        "https://a:0/",
        "https://a:99999/",
        "https://a%2e.b/",
        "https://[::1%25eth0]/",
        "https://[nonsense]/",
        "https://a..b/",
        "null://x",
        "https://" + "a" * 20000,
    ],
)
def test_a_url_that_parsers_could_read_differently_is_refused(url: str) -> None:
    """Control characters, backslashes, escapes and odd hosts never reach a connection."""
    with pytest.raises(UnsafeError):
        Origin.of(url)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"],
)
def test_a_clouds_metadata_is_further_inside_than_any_registry(address: str) -> None:
    """Some of it has addresses that are otherwise merely private."""
    assert reach_of_address(ipaddress.ip_address(address)) is Reach.FORBIDDEN


@pytest.mark.parametrize("host", PRIVATE)
def test_no_realm_location_or_redirect_leads_inside(host: str) -> None:
    """Private, loopback, link-local and metadata addresses are refused in every spelling."""
    url = f"https://{host}/x"
    for what in ("the upload location", "the redirect"):
        with pytest.raises(UnsafeError, match=what):
            check_location(url, HERE, HOME, what)
    with pytest.raises(UnsafeError):
        check_realm(url, HOME)


@pytest.mark.parametrize(
    "host", ["93.184.216.34", "[2606:4700::1]", "cdn.example.net", "dead.beef.io"]
)
def test_a_public_host_is_allowed_over_https(host: str) -> None:
    """Offloading to another server is what the specification allows."""
    url = f"https://{host}/blob?X-Signature=abc"
    assert check_location(url, HERE, HOME) == url
    assert check_realm(url, HOME).scheme == "https"


def test_an_inside_registry_may_send_us_to_itself() -> None:
    """The registry's own host is fine at any port, whatever its address."""
    home = Origin("http", "10.1.2.3", 5000)
    here = "http://10.1.2.3:5000/v2/"
    assert check_location("http://10.1.2.3:9000/up", here, home) == "http://10.1.2.3:9000/up"
    assert check_realm("http://10.1.2.3:5001/token", home).port == 5001
    with pytest.raises(UnsafeError):
        check_location("http://10.1.2.4:9000/up", here, home)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/a/blobs/uploads/1?_state=x", f"{HOME}/v2/a/blobs/uploads/1?_state=x"),
        ("1?_state=x", f"{HERE}1?_state=x"),
        ("https://registry.example.com:443/v2/u", "https://registry.example.com:443/v2/u"),
        ("http://registry.example.com/v2/u", f"{HOME}/v2/u"),
        ("http://registry.example.com:443/v2/u", f"{HOME}/v2/u"),
        ("//cdn.example.net/x", "https://cdn.example.net/x"),
        ("/v2/u#fragment", f"{HOME}/v2/u"),
    ],
)
def test_a_location_is_resolved(location: str, expected: str) -> None:
    """Relative ones are joined, and http on the own host becomes its https."""
    assert check_location(location, HERE, HOME) == expected


def test_an_http_location_of_a_tls_registry_with_a_port_goes_to_that_port() -> None:
    """A TLS proxy that its registry does not know makes it forget scheme and port."""
    home = Origin("https", "r.example.com", 5000)
    here = "https://r.example.com:5000/v2/"
    for location in ("http://r.example.com/v2/u", "http://r.example.com:5000/v2/u"):
        assert check_location(location, here, home) == "https://r.example.com:5000/v2/u"


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://cdn.example.net/x",
        "https://user:secret@cdn.example.net/x",
        "https://user@registry.example.com/x",
        "/v2/\r\nHost: x",
        "ftp://registry.example.com/x",
        "javascript:alert(1)",
        "https://a\\b/",
    ],
)
def test_an_unsafe_location_is_refused(location: str) -> None:
    """Other schemes, clear text elsewhere, user information and malformed text."""
    with pytest.raises(UnsafeError) as caught:
        check_location(location, HERE, HOME)
    assert "secret" not in str(caught.value)


def test_a_redirect_never_leaves_https_once_it_is_there() -> None:
    """A plain registry may redirect to https, and from there nothing leads back."""
    home = Origin("http", "r.example.com", 80)
    assert check_location("https://cdn.example.net/x", "http://r.example.com/", home)
    with pytest.raises(UnsafeError):
        check_location("http://other.example.net/x", "https://cdn.example.net/x", home)


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example.com/token",
        "https://user:pw@auth.example.com/token",
        "null://registry/token",
        "/token",
        "",
        "http://registry.example.com/token",
    ],
)
def test_an_unsafe_realm_is_refused(realm: str) -> None:
    """https only, absolute, without user information."""
    with pytest.raises(UnsafeError):
        check_realm(realm, HOME)


def test_a_plain_registry_may_have_a_plain_realm() -> None:
    """Where the registry itself is http, so may the realm be."""
    assert check_realm("http://auth.example.com/t", Origin("http", "r.example.com", 80)).port == 80


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("/v2/a/tags/list?last=b&n=5", "/v2/a/tags/list?last=b&n=5"),
        ("https://evil.example/v2/a/tags/list?last=b", "/v2/a/tags/list?last=b"),
        ("?last=c", "/v2/a/tags/list?last=c"),
    ],
)
def test_a_page_link_keeps_path_and_query_only(link: str, kept: str) -> None:
    """Whatever host it names, the next page is asked of the registry."""
    assert check_link(link, f"{HOME}/v2/a/tags/list") == kept


@pytest.mark.parametrize(
    "link", ["https://evil.example/latest/meta-data", "/admin", "/v2/a\nb", "/v2/é"]
)
def test_a_page_link_out_of_the_api_is_refused(link: str) -> None:
    """A link may not leave ``/v2/``."""
    with pytest.raises(UnsafeError):
        check_link(link, f"{HOME}/v2/a/tags/list")


def test_redaction_hides_user_information_and_query_values() -> None:
    """Harmless keys keep their value; signatures, states and tokens do not."""
    url = "https://u:secret@h/p?_state=secret&digest=sha256:1&X-Amz-Signature=secret#secret"
    shown = redact(url)
    assert "secret" not in shown
    assert shown == "https://h/p?_state=***&digest=sha256:1&X-Amz-Signature=***"
    assert redact("/v2/a?token=secret") == "/v2/a?token=***"
    assert redact("https://h/?secret&n=5") == "https://h/?***&n=5"


@given(st.text(max_size=200))
def test_redaction_never_fails_and_is_one_line(text: str) -> None:
    """Any text can be shown."""
    assert not any(ord(c) < 32 for c in redact(text) + clean(text))


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=60))
def test_checking_any_location_gives_a_safe_url_or_an_error(text: str) -> None:
    """Nothing but ``UnsafeError`` comes out, and what passes is https."""
    try:
        url = check_location(text, HERE, HOME)
    except UnsafeError:
        return
    assert Origin.of(url).scheme == "https"


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_ipv4_address_is_the_same_address(number: int) -> None:
    """Decimal, hexadecimal, octal and mapped forms have one reach."""
    dotted = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
    reach = reach_of_name(dotted)
    octal = ".".join(f"0{number >> shift & 255:o}" for shift in (24, 16, 8, 0))
    assert reach is not None
    for other in (str(number), hex(number), octal, f"::ffff:{dotted}"):
        assert reach_of_name(other) is reach, other


def test_loopback_is_what_may_be_plain() -> None:
    """Only loopback names and addresses count, not private networks."""
    for host in ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "127.1"):
        assert is_loopback(host), host
    for host in ("10.0.0.1", "192.168.1.1", "0.0.0.0", "localhost.example.com", "example.com"):
        assert not is_loopback(host), host
    assert literal_address("example.com") is None
    assert reach_of_name("example.com") is None
    assert Reach.PUBLIC < Reach.PRIVATE < Reach.LOOPBACK < Reach.FORBIDDEN


def test_shown_text_is_bounded_and_without_control_characters() -> None:
    """Escape sequences and direction marks of a hostile registry do not reach the terminal."""
    assert clean("a\x1b[31mb\r\n\u202ec") == "a [31mb c"
    assert len(clean("x" * 10000)) == 500
