"""A key is a random text of a known form; what is kept of it tells it again and no more."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

from selfright.errors import ConfigError
from selfright.server import access
from selfright.server.access.key import FORM, Key, mint, opens, prefix_of
from selfright.server.scope import GRANTABLE, Scope, allows, classified, needs

NOW_US = 1_767_225_600_000_000
DAY_US = 86_400_000_000
ROOM = Path(access.__file__).parent


def test_a_key_opens_what_was_kept_of_it_and_nothing_else() -> None:
    """Not its prefix, not a part, not another key, not the digest."""
    key, text = mint("scraper", ["read"], NOW_US)
    other, other_text = mint("scraper", ["read"], NOW_US)
    assert opens(text, key)
    for wrong in (key.prefix, text[:-1], text + "0", text.upper(), other_text, key.digest, "", " "):
        assert not opens(wrong, key), wrong
    assert not opens(text, other)
    assert not opens(text, None)


def test_the_text_stands_nowhere_in_what_is_kept() -> None:
    """Neither whole nor its secret half."""
    key, text = mint("scraper", ["read"], NOW_US)
    kept = msgspec.json.encode(key).decode() + repr(key) + repr(key.shown(NOW_US))
    assert text.rpartition("_")[2] not in kept


def test_what_is_shown_of_a_key_is_not_its_digest() -> None:
    """Whoever may list keys need not be able to compare them."""
    key, _ = mint("scraper", ["read"], NOW_US)
    assert key.digest not in repr(key.shown(NOW_US))


def test_keys_differ_and_have_a_form_of_their_own() -> None:
    """So that a scanner of repositories can find them."""
    texts = {mint("x", ["read"], NOW_US)[1] for _ in range(100)}
    assert len(texts) == 100
    assert all(FORM.fullmatch(text) for text in texts)
    assert all(prefix_of(text) == text[:18] for text in texts)


@pytest.mark.parametrize(
    "text",
    ["", "selfright_", "selfright_1a2b3c4d", f"selfright_1A2B3C4D_{'0' * 48}", "ключ", "a\n"],
)
def test_what_has_not_the_form_of_a_key_has_no_prefix(text: str) -> None:
    """And is never looked up."""
    assert prefix_of(text) is None
    assert not opens(text, None)


def test_a_key_lives_until_it_expires_or_is_revoked() -> None:
    """To the microsecond, and revoked wins."""
    key, _ = mint("visitor", ["read"], NOW_US, expires_days=1)
    assert key.state(NOW_US + DAY_US - 1) == "active"
    assert key.state(NOW_US + DAY_US) == "expired"
    gone = msgspec.structs.replace(key, revoked_us=NOW_US)
    assert gone.state(NOW_US) == gone.state(NOW_US + DAY_US) == "revoked"


@pytest.mark.parametrize(
    ("name", "scopes", "days", "field", "said"),
    [
        ("", ["read"], None, "name", "printable"),
        ("a\x1b[31m", ["read"], None, "name", "printable"),
        ("x" * 201, ["read"], None, "name", "200"),
        ("x", [], None, "scopes", "ingest, read, operate, admin"),
        ("x", ["rread"], None, "scopes", "did you mean read?"),
        ("x", ["public"], None, "scopes", "must be one or more of"),
        ("x", ["any"], None, "scopes", "must be one or more of"),
        ("x", ["read"], 0, "expires_days", "above 0"),
        ("x", ["read"], float("nan"), "expires_days", "above 0"),
    ],
)
def test_what_makes_no_key_is_refused_with_the_remedy(
    name: str, scopes: list[str], days: float | None, field: str, said: str
) -> None:
    """By the parameter that is wrong."""
    with pytest.raises(ConfigError, match=said) as caught:
        mint(name, scopes, NOW_US, days)
    assert caught.value.setting == field


@pytest.mark.parametrize(
    "change",
    [{"prefix": "x"}, {"digest": "0" * 63}, {"digest": "G" * 64}, {"scopes": []},
     {"scopes": ["public"]}, {"scopes": ["any"]}, {"scopes": ["root"]}, {"more": 1}],
)  # fmt: skip
def test_what_no_key_can_be_is_not_read_as_one(change: dict[str, object]) -> None:
    """Whoever wrote it."""
    key, _ = mint("x", ["read"], NOW_US)
    written = {**msgspec.to_builtins(key), **change}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(written), type=Key)


def test_scopes_are_a_set_and_two_of_them_bring_others() -> None:
    """The whole table of who may what."""
    wide = {
        (held.value, wanted.value)
        for held in GRANTABLE
        for wanted in GRANTABLE
        if allows([held], wanted)
    }
    assert wide == {
        ("ingest", "ingest"),
        ("read", "read"),
        ("operate", "operate"),
        ("operate", "read"),
        ("admin", "ingest"),
        ("admin", "read"),
        ("admin", "operate"),
        ("admin", "admin"),
    }
    assert allows([Scope.INGEST, Scope.READ], Scope.READ)
    assert all(allows([held], Scope.ANY) and allows([held], Scope.PUBLIC) for held in GRANTABLE)


class _Route:
    def __init__(self, path: str, scope: Scope | None) -> None:
        self.path = path
        self.endpoint = (lambda: None) if scope is None else needs(scope)(lambda: None)


def test_a_route_without_a_scope_and_a_public_one_with_a_parameter_are_our_mistakes() -> None:
    """Neither can be served."""
    with pytest.raises(TypeError, match="no scope is declared for /x"):
        classified([_Route("/x", None)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="cannot be public"):
        classified([_Route("/x/{name}", Scope.PUBLIC)])  # type: ignore[list-item]


# ---- in constant time ------------------------------------------------------------------

SECRET_WORDS = ("digest", "signature", "secret")


def _careless(source: str) -> list[int]:
    """Return the lines on which something secret is compared by an operator."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(how, (ast.Eq, ast.NotEq)) for how in node.ops)
        and any(
            word in ast.unparse(side).lower()
            for side in (node.left, *node.comparators)
            for word in SECRET_WORDS
        )
    ]


def test_what_is_secret_is_compared_in_constant_time() -> None:
    """Nowhere in the room by `==`."""
    for module in sorted(ROOM.glob("*.py")):
        assert _careless(module.read_text(encoding="utf-8")) == [], module.name


def test_the_check_sees_a_careless_comparison() -> None:
    """The same look finds the line, were `opens` written with `==`."""
    source = (ROOM / "key.py").read_text(encoding="utf-8")
    careless = source.replace(
        "hmac.compare_digest(_digest_of(text), expected)", "_digest_of(text) == expected"
    )
    assert len(_careless(careless)) == 1
