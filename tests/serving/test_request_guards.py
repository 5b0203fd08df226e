"""Who may ask: Host, Origin and key."""

import pytest

from vidya.serving.request_guards import LOOPBACK_NAMES, Guards

LOCAL = Guards(LOOPBACK_NAMES)


def scope(path="/v1/models", **headers):
    found = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": "http", "path": path, "headers": found}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "LOCALHOST:80", "[::1]:8000"])
def test_a_server_on_loopback_answers_to_its_names(host):
    assert LOCAL.refusal(scope(host=host)) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil", "", "::1"],
)
def test_and_to_no_other(host):
    assert LOCAL.refusal(scope(host=host)).status == 400
    assert Guards(None).refusal(scope(host=host)) is None  # it has a key


def test_pages_of_other_sites_are_refused_unless_they_are_named():
    here = {"host": "localhost:8000"}
    other = scope(origin="https://a.example", **here)
    for origin in ("https://a.example", "null", "http://localhost:9000", "https://localhost:8000"):
        assert LOCAL.refusal(scope(origin=origin, **here)).status == 403
    assert LOCAL.refusal(scope(origin="http://localhost:8000", **here)) is None
    assert Guards(None, ("https://a.example",)).refusal(other) is None
    assert Guards(None, ("https://b.example",)).refusal(other).status == 403
    assert Guards(None, ("*",)).refusal(other) is None


def test_a_key_is_asked_for_everywhere_but_of_health():
    guards = Guards(None, api_key="secret")
    for headers in (
        {}, {"authorization": "Bearer wrong"}, {"authorization": "secret"},
        {"authorization": "Basic secret"}, {"authorization": "Bearer secret2"},
        {"authorization": "Bearer s\u00e9cret"},
    ):  # fmt: skip
        error = guards.key_refusal(scope(**headers))
        assert error.status == 401 and error.headers == {"www-authenticate": "Bearer"}
    assert guards.key_refusal(scope(authorization="Bearer secret")) is None
    assert guards.key_refusal(scope("/health")) is None
    assert Guards(None).key_refusal(scope()) is None


def test_no_page_of_another_site_teaches_even_one_that_may_chat():
    guards = Guards(LOOPBACK_NAMES, ("https://a.example", "*"))
    here = {"host": "localhost:8000"}
    assert guards.refusal(scope(origin="https://a.example", **here)) is None
    for wrong in (
        {"origin": "https://a.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"}, {"origin": "http://localhost:9000"},
    ):  # fmt: skip
        assert guards.teaching_refusal(scope(**here, **wrong)).status == 403
    own = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    assert guards.teaching_refusal(scope(**here, **own)) is None
    assert guards.teaching_refusal(scope(**here)) is None  # no browser
