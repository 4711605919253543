"""Roles in their order, and the text of a token."""

from hypothesis import example, given
from hypothesis import strategies as st

from control_plane.platform.identity_types import Role, TokenType, token_digest, token_selector, token_text

url_safe = st.characters(categories=[], include_characters="ABCXYZabcxyz0189_-")


def test_each_role_covers_the_ones_below_it() -> None:
    assert [[role.includes(needed) for needed in Role] for role in Role] == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [True, True, True, False, False],
        [True, True, True, True, False],
        [True, True, True, True, True],
    ]


@given(
    st.sampled_from(TokenType),
    st.text(url_safe, min_size=22, max_size=22),
    st.text(url_safe, min_size=43, max_size=43),
)
@example(TokenType.CLIENT, "_" * 22, "_" * 43)
def test_the_selector_is_found_again_whatever_characters_it_holds(kind: TokenType, selector: str, secret: str) -> None:
    assert token_selector(token_text(kind, "production", selector, secret)) == selector


@given(st.text() | st.from_regex(r"\*:[a-z]+\.[0-9a-f]{56}"))
def test_no_other_text_is_taken_for_a_token(text: str) -> None:
    assert token_selector(text) is None


@given(st.text(), st.text())
def test_different_texts_have_different_digests(one: str, other: str) -> None:
    assert (token_digest(one) == token_digest(other)) == (one == other)
