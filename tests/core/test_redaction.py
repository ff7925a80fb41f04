"""The redactor finds secrets in every spelling, and leaves harmless text alone."""

import base64
import json
import shlex
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.core.redaction import MARK, Redactor

SECRET = "s3cr3t/Value+with%odd&chars='\"\\é"
secrets = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs", "Cs"]), min_size=6, max_size=60
)

BENIGN = (
    "2026-11-23T09:14:52Z INFO request id=3f2b8e5a-1c7d-4e55-9b1a-0f6a2d3c4b5e GET /items/42 status=200 in 12ms",
    "commit 1b9d2e7f00aa11bb22cc33dd44ee55ff66778899 tagged v2.1.0",
    "secrets: {DATABASE_URL: 'file:/run/secrets/shop_db'}",
    "token: env:DEPLOY_TOKEN",
    "password=${DB_PASSWORD}",
    "API_KEY=<your-key>",
    "token=$TOKEN",
    "password=********",
    "input_tokens=12345678",
    "PASSWORD_FILE=/run/secrets/db",
    "see http://127.0.0.1:8080/healthz?x=1 or mail ops@example.com",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "the cookie banner and the tokenizer passed 12 checks",
)


def streamed(redactor, text, cuts):
    """What a reader sees of a text that arrives in pieces."""
    stream = redactor.stream()
    return "".join(stream.feed(text[a:b]) for a, b in pairwise([0, *cuts, len(text)])) + stream.close()


def test_a_registered_secret_is_found_in_every_spelling():
    redactor = Redactor([SECRET])
    around = f"user:{SECRET}:tail"
    spellings = [
        SECRET,
        json.dumps({"x": SECRET}),
        json.dumps({"x": SECRET}, ensure_ascii=False),
        repr(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        shlex.quote(SECRET),
        SECRET.encode().hex(),
        *(base64.b64encode(("a" * n + around).encode()).decode() for n in range(3)),
        *(base64.urlsafe_b64encode(("a" * n + around).encode()).decode() for n in range(3)),
    ]
    for spelling in spellings:
        hidden = redactor.text(f"before {spelling} after")
        assert MARK in hidden, spelling
        assert "s3cr3t" not in hidden
        assert hidden.startswith("before ")
        assert hidden.endswith(" after")


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
        ("ghp_" + "a1B2" * 9, "ghp_a1B2"),
        ("github_pat_" + "a1B2_" * 14, "github_pat_a1"),
        ("xoxb-123456789012-abcdefABCDEF", "123456789012"),
        ("POST https://hooks.slack.com/services/T000/B000/XXXYYYZZZ ok", "XXXYYYZZZ"),
        ("postgres://shop:hunter22@db.internal:5432/shop", "hunter22"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "dozjgNryP4"),
        ("password=hunter22", "hunter22"),
        ('"db_password": "correct horse battery"', "battery"),
        (r"{\"api_key\": \"abcdef123456\"}", "abcdef123456"),
        ("DB_SECRET: abcdef123", "abcdef123"),
        ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("curl --auth-token abcdef123456 http://x", "abcdef123456"),
        ("Set-Cookie: session=abc123; Path=/", "abc123"),
        ("GET /login?token=abcdef123456&next=/", "abcdef123456"),
        ("password='unclosed-secret", "unclosed-secret"),
    ],
)
def test_well_known_credentials_are_hidden(line, gone):
    assert gone in line
    hidden = Redactor().text(line)
    assert MARK in hidden
    assert gone not in hidden


def test_a_private_key_is_hidden_whole_even_when_its_end_is_missing():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+IBAAK/CAQEA\nabcd==\n-----END RSA PRIVATE KEY-----"
    redactor = Redactor()
    assert redactor.text(f"a\n{key}\nb") == f"a\n{MARK}\nb"
    assert redactor.text(json.dumps(key)) == f'"{MARK}"'
    assert "MIIEow" not in redactor.text(key[:60])


@pytest.mark.parametrize("line", BENIGN)
def test_harmless_lines_stay_as_they_are(line):
    redactor = Redactor(["Xk29-aLq0_zz81-Qm"])
    assert redactor.text(line) == line
    stream = redactor.stream()
    assert stream.feed(line + "\n") + stream.close() == line + "\n"


def test_walk_hides_values_under_secret_keys_and_keeps_references():
    seen = Redactor(["hunter-2-hunter"]).walk(
        {
            "password": "x",
            "dbPassword": "abc",
            "apiToken": 1234,
            "secrets": {"DATABASE_URL": "file:/run/secrets/db", "OTHER": "value"},
            "credentials": ["a", "b"],
            "webhook": "env:HOOK",
            "cookie": "",
            "secret": False,
            "token": None,
            "health": {"passes": 2, "passed": True},
            "max_tokens": 60000,
            "note": "it was hunter-2-hunter",
        }
    )
    assert seen == {
        "password": MARK,
        "dbPassword": MARK,
        "apiToken": MARK,
        "secrets": {"DATABASE_URL": "file:/run/secrets/db", "OTHER": MARK},
        "credentials": [MARK, MARK],
        "webhook": "env:HOOK",
        "cookie": "",
        "secret": False,
        "token": None,
        "health": {"passes": 2, "passed": True},
        "max_tokens": 60000,
        "note": f"it was {MARK}",
    }


def test_a_short_secret_is_hidden_only_beside_its_name():
    redactor = Redactor()
    assert redactor.add("1234", "PIN") is False
    assert redactor.text("PIN=1234 and 1234 requests") == f"{MARK} and 1234 requests"
    assert redactor.add("123456", "PIN") is True


def test_a_secret_that_is_a_piece_of_the_mark_does_not_multiply():
    redactor = Redactor(["redacted"])
    assert redactor.text(redactor.text("was redacted")) == f"was {MARK}"


def test_the_longest_of_two_overlapping_secrets_wins():
    redactor = Redactor(["abcdef", "abcdef123456"])
    assert redactor.text("x abcdef123456 y abcdef z") == f"x {MARK} y {MARK} z"


@settings(max_examples=150, deadline=None)
@given(st.lists(secrets, min_size=1, max_size=3), st.text(max_size=30), st.data())
def test_no_spelling_survives_any_split_of_a_stream(values, noise, data):
    redactor = Redactor(values)
    value = data.draw(st.sampled_from(values))
    spelling = data.draw(
        st.sampled_from(
            [
                value,
                json.dumps(value)[1:-1],
                quote(value, safe=""),
                quote_plus(value),
                value.encode().hex(),
                base64.b64encode(b"k:" + value.encode() + b"!!").decode(),
            ]
        )
    )
    text = f"{noise}\n>{spelling}<\n{noise}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    shown = streamed(redactor, text, cuts)
    assert shown == redactor.text(text)
    assert spelling not in shown


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=2, max_size=20), min_size=2, max_size=4), st.data())
def test_a_secret_of_many_lines_is_caught_across_pieces(lines, data):
    value = "\n".join(["-first-line-", *lines, "-last-line-"])
    redactor = Redactor([value, value * 2 + "\n" + value, "ab\ncd\nef"])
    text = f"before\n{value}\nafter\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    shown = streamed(redactor, text, cuts)
    assert shown == f"before\n{MARK}\nafter\n"


def test_a_short_secret_of_lines_is_not_cut_by_the_reach_of_a_longer_one():
    stream = Redactor(["ab\ncd\nef\ngh", "long-line-1\nlong-line-2"]).stream()
    text = "x\nab\ncd\nef\ngh\n" + "y" * 14
    assert stream.feed(text) + stream.close() == f"x\n{MARK}\n" + "y" * 14


def test_a_private_key_is_held_until_its_end():
    stream = Redactor().stream()
    assert stream.feed("a\n-----BEGIN PRIVATE KEY-----\nMIIE") == "a\n"
    assert stream.feed("vgIB\n") == ""
    assert stream.feed("-----END PRIVATE KEY-----\nb\n") == f"{MARK}\nb\n"


def test_an_endless_line_is_let_through_at_last():
    stream = Redactor(["needle-in-the-hay"]).stream()
    shown = "".join(stream.feed("x" * 1000) for _ in range(200))
    assert len(shown) > 100_000
    assert len(shown + stream.close()) == 200_000


pieces = st.sampled_from(
    [
        *("password=", "token: ", '"', "'", "\\", "://a:", "@", "@h ", "secret", MARK, "redacted", "[", "]", " ", "\n"),
        *("hunter22", "AKIAIOSFODNN7EXAMPLE", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "Cookie: "),
        *("--api-key ", "env:NAME", "=", ":", "abcdef", "Bearer ", "eyJabcdefgh.", "${X}", "é", "&", ";"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces, max_size=14).map("".join))
def test_redacting_twice_changes_nothing_more(text):
    redactor = Redactor(["hunter22", "redacted", "abcdef\nghijkl"])
    once = redactor.text(text)
    assert redactor.text(once) == once
