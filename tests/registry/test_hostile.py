"""Any mixture of faults: a push ends well or with an error of ours, and can be repeated."""

from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.errors import ImgpackError
from tests.registry import faults
from tests.registry.hostile import HostileRegistry
from tests.registry.images import make_image, noise, push_to

IMAGE = make_image(b"one", noise(150_000), empty=True)

ACTIONS = (
    faults.answer(401),
    faults.answer(403, "DENIED"),
    faults.answer(404),
    faults.answer(404, "BLOB_UPLOAD_INVALID"),
    faults.answer(413, early=True),
    faults.answer(416),
    faults.answer(429, Retry_After="3"),
    faults.answer(500, "UNKNOWN"),
    faults.answer(503, early=True),
    faults.answer(302, Location="http://127.0.0.1:1/"),
    faults.reset(),
    faults.reset(70_000),
    faults.break_upload(50_000),
    faults.lose_answer,
    faults.yes,
    faults.altered(Docker_Content_Digest="sha256:" + "f" * 64),
    faults.altered(Location="http://169.254.169.254/"),
    faults.altered(Range="0-99999999"),
    faults.altered(Range="bytes=0-10", OCI_Chunk_Min_Length="x"),
    faults.with_status(200),
    faults.with_status(204, Location=""),
)

FAULTS = st.lists(
    st.tuples(
        st.sampled_from(("HEAD", "POST", "PUT", "PATCH", "GET", "HEAD|POST|PUT|PATCH|GET")),
        st.sampled_from(range(len(ACTIONS))),
        st.integers(0, 4),
        st.sampled_from((1, 2, 5, None)),
    ),
    max_size=4,
)
HABITS = st.fixed_dictionaries(
    {
        "strict_state": st.booleans(),
        "keep_sessions": st.booleans(),
        "monolithic": st.booleans(),
        "streamed": st.booleans(),
        "mounts": st.booleans(),
        "cancels": st.booleans(),
        "head": st.booleans(),
        "absolute": st.booleans(),
    }
)


@settings(max_examples=60)
@given(script=FAULTS, habits=HABITS)
def test_whatever_a_registry_does_the_outcome_is_whole_or_an_error(
    script: list[tuple[str, int, int, int | None]], habits: dict[str, bool]
) -> None:
    """Success means a complete image under its tag; failure leaves none; a later push mends it."""
    digest = str(IMAGE.manifest.descriptor.digest)
    with HostileRegistry(**habits) as registry:
        for method, action, skip, times in script:
            registry.misbehave(method, "", ACTIONS[action], skip=skip, times=times)
        try:
            push_to(registry.host, IMAGE, "a/b:1", "c:2", attempts=3)
        except ImgpackError:
            pass
        else:
            assert registry.repository("a/b").tags == {"1": digest}
            assert registry.repository("c").tags == {"2": digest}
        assert registry.incomplete() == []
        assert len(registry.requests) < 400
        registry.faults.clear()
        push_to(registry.host, IMAGE, "a/b:1", "c:2")
        assert registry.repository("a/b").tags == {"1": digest}
        assert registry.incomplete() == []
