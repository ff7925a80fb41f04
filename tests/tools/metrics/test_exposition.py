"""Pages are taken whole, with the names they were written with, or not at all."""

import math
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_deploy_mcp.tools.metrics.exposition import MAX_BYTES, BadPage, Key, Page, escaped, parse, series_text

PAGES = Path(__file__).parent / "pages"


def one(text: bytes) -> tuple[dict[str, str], float]:
    ((key, value),) = parse(text)
    return dict(key), value


def test_a_router_page_is_read_completely() -> None:
    text = (PAGES / "envoy-1.40.txt").read_bytes()
    page = parse(text)
    assert len(page.samples) == sum(bool(line) and not line.startswith(b"#") for line in text.split(b"\n"))
    wanted = (
        ("__name__", "envoy_cluster_upstream_rq_xx"),
        ("envoy_cluster_name", "v2_1_0-bbbb2222+"),
        ("envoy_response_code_class", "5"),
    )
    assert dict(page)[wanted] == 8


def test_counters_without_total_keep_their_name() -> None:
    names = {dict(key)["__name__"] for key, _ in parse((PAGES / "envoy-1.40.txt").read_bytes())}
    assert "envoy_cluster_upstream_rq_xx" in names
    assert not any(name.endswith("_total") and "_xx" in name for name in names)


def test_a_page_of_a_go_client_is_read() -> None:
    samples = dict(parse((PAGES / "go-client.txt").read_bytes()))
    assert samples[(("__name__", "go_gc_duration_seconds"), ("quantile", "0.75"))] == 9.0966e-05
    assert samples[(("__name__", "process_virtual_memory_max_bytes"),)] == 1.8446744073709552e19


@pytest.mark.parametrize(
    ("text", "labels", "value"),
    [
        (b"a 1\n", {"__name__": "a"}, 1),
        (b"a{} 1\n", {"__name__": "a"}, 1),
        (b'a{b="c"}1\n', {"__name__": "a", "b": "c"}, 1),
        (b'a { b = "c" , } 1\n', {"__name__": "a", "b": "c"}, 1),
        (b'a{b="c,d}{=",e="f"} 2\n', {"__name__": "a", "b": "c,d}{=", "e": "f"}, 2),
        (rb'a{b="\\ \" \n \x"} 1' + b"\n", {"__name__": "a", "b": '\\ " \n \\x'}, 1),
        (b'a{b=""} 1\n', {"__name__": "a"}, 1),
        (b"a 1 1520879607789\n", {"__name__": "a"}, 1),
        (b"a 1 1520879607.789\n", {"__name__": "a"}, 1),
        (b'a 1 # {trace="x"} 0.5 1520879607\n', {"__name__": "a"}, 1),
        (b"a 1.5e-3\r\n", {"__name__": "a"}, 0.0015),
        (b"  a\t.5  \n", {"__name__": "a"}, 0.5),
        (b"a +Inf\n", {"__name__": "a"}, math.inf),
        (b"a -inf\n", {"__name__": "a"}, -math.inf),
        (b"# HELP a b\n# TYPE a counter\n\na 1\n# EOF\n", {"__name__": "a"}, 1),
        (b"a 1\n# EOF", {"__name__": "a"}, 1),
        ('a{b="é"} 1\n'.encode(), {"__name__": "a", "b": "é"}, 1),
        (b"a:b_c1 1\n", {"__name__": "a:b_c1"}, 1),
    ],
)
def test_every_way_to_write_a_sample(text: bytes, labels: dict[str, str], value: float) -> None:
    assert one(text) == (labels, value)


def test_nan_is_read_as_nan() -> None:
    assert math.isnan(one(b"a NaN\n")[1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"a 1\nb 12", "line 2: the page was cut off"),
        (b'a 1\nb{c="d', "line 2: the page was cut off"),
        (b"a 1\na 2\n", "line 2: the series a is there twice"),
        (b'a{b="1",c="2"} 1\na{c="2",b="1"} 1\n', "there twice"),
        (b'a 1\na{b=""} 1\n', "there twice"),
        (b'a{b="c",b="d"} 1\n', "the label b is there twice"),
        (b'a{__name__="b"} 1\n', "the label __name__ is there twice"),
        (b'a{b="\xff"} 1\n', "line 1: "),
        (b"a 1_0\n", "'1_0' is no number"),
        (b"a 0x1\n", "is no number"),
        (b"a1\n", "line 1 is no sample"),
        (b"1a 1\n", "line 1 is no sample"),
        (b'a{b="c" 1\n', "line 1 is no sample"),
        (b"a 1 2 3\n", "line 1 is no sample"),
        (b'{b="c"} 1\n', "no name"),
        (b"a{b} 1\n", "labels cannot be read"),
        (b"<html>\n", "line 1 is no sample"),
        (b"a 1\n# EOF\nb 2\n", "line 3: there is text after # EOF"),
        (b"#" * (MAX_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_a_page_that_is_not_whole_is_no_page(text: bytes, why: str) -> None:
    with pytest.raises(BadPage, match=re.escape(why)):
        parse(text)


def test_a_page_without_samples_is_a_page() -> None:
    assert parse(b"# nothing yet\n") == Page(())


@pytest.mark.parametrize("line", [b'{"my.metric"} 1', b'{"my.metric",a="b"} 1', b'a{"my.label"="x",b="c"} 1'])
def test_names_in_quotes_are_skipped_and_counted(line: bytes) -> None:
    page = parse(b"a 1\n" + line + b"\n")
    assert len(page.samples) == 1
    assert page.skipped == 1


_values = st.floats(allow_nan=False) | st.integers(-(2**60), 2**60).map(float)
_names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True)
_labels = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12),
    max_size=4,
)


@st.composite
def _families(draw: st.DrawFn) -> dict[Key, float]:
    series = draw(st.lists(st.tuples(_names, _labels), max_size=12))
    return {tuple(sorted({**labels, "__name__": name}.items())): draw(_values) for name, labels in series}


@settings(deadline=None)
@given(_families(), st.booleans())
def test_what_was_written_is_what_is_read(families: dict[Key, float], crlf: bool) -> None:
    end = "\r\n" if crlf else "\n"
    text = "".join(f"{series_text(key)} {value!r}{end}" for key, value in families.items())
    assert dict(parse((text + "# EOF\n").encode())) == families


@settings(deadline=None)
@given(_families(), st.data())
def test_a_page_cut_anywhere_inside_a_line_is_refused(families: dict[Key, float], data: st.DataObject) -> None:
    text = "".join(f"{series_text(key)} {value!r}\n" for key, value in families.items()).encode()
    inside = [i for i in range(1, len(text)) if text[i - 1 : i] != b"\n"]
    if not inside:
        return
    with pytest.raises(BadPage):
        parse(text[: data.draw(st.sampled_from(inside))])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fail_in_another_way(text: bytes) -> None:
    with suppress(BadPage):
        parse(text + b"\n")


@settings(deadline=None)
@given(st.text(max_size=20))
def test_escaped_text_holds_no_bare_quote_or_line_end(text: str) -> None:
    assert re.fullmatch(r'(?:[^"\\\n]|\\[\\"n])*', escaped(text))
