"""Text from models and data sets is shown, never obeyed."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from fourways.core.plain_text import clean
from fourways.report.markup import Html, foreign, join, tag

ANY = st.text(alphabet=st.characters(), max_size=200)


class _Reader(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ANY)
def test_whatever_the_text_only_our_own_tag_is_read(text: str) -> None:
    seen = _Reader(tag("p", text))
    assert seen.tags == ["p"]
    assert seen.text == clean(text)


@given(ANY)
def test_whatever_the_text_an_attribute_stays_one_attribute(text: str) -> None:
    seen = _Reader(tag("p", title=text))
    assert list(seen.attributes) == ["title"]
    assert seen.attributes["title"] == clean(text)


@given(ANY)
def test_text_can_neither_hide_nor_turn_the_line_around(text: str) -> None:
    hidden = {"\u202a", "\u202b", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u200b", "\ufeff", "\x00", "\x1b"}
    assert not hidden & set(clean(text))
    clean(text).encode("utf-8")


def test_a_direction_override_is_written_out() -> None:
    assert clean("abc\u202edef") == "abc[U+202E]def"


def test_a_sentence_in_invisible_characters_is_written_out() -> None:
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "obey")
    assert clean(f"yes{hidden}") == "yes[U+E006F][U+E0062][U+E0065][U+E0079]"
    assert clean("a\u3164b\u00adc\u180ed") == "a[U+3164]b[U+00AD]c[U+180E]d"
    assert clean("\u2764\ufe0f") == "\u2764\ufe0f"


def test_markup_joined_with_plain_text_becomes_plain_text_again() -> None:
    assert tag("p", tag("b", "x") + "<i>") == "<p>&lt;b&gt;x&lt;/b&gt;&lt;i&gt;</p>"
    assert join([Html("<b>"), "<i>", None]) == "<b>&lt;i&gt;"


def test_a_long_reply_is_cut_and_says_how_long_it_was() -> None:
    shown = _Reader(foreign("x" * 5000, limit=100)).text
    assert shown.startswith("x" * 100 + "…")
    assert "5,000 characters" in shown
