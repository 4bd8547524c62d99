"""Strings made comparable: RFC 4518, internationalized string preparation.

RFC 5280 section 7.1 compares distinguished names by the caseIgnoreMatch and caseExactMatch rules of RFC 4517
(sections 4.2.11 and 4.2.4), which prepare both values as RFC 4518 says and then compare character by character.
Two strings match if and only if their prepared forms are equal.

RFC 4518 fixes Unicode 3.2, and so do the tables in ``stringprep``: a character that is younger is refused, because
nobody can know how the other side would fold or compose it.
"""

import stringprep
import unicodedata
from itertools import pairwise

from mintls.core.pki.errors import InvalidName

_UNICODE = unicodedata.ucd_3_2_0

# RFC 4518 section 2.2, inclusive ranges of code points that are mapped to nothing: controls, joiners, variation
# selectors. NUL is not among them: see prepare().
_TO_NOTHING = (
    (0x01, 0x08),
    (0x0E, 0x1F),
    (0x7F, 0x84),
    (0x86, 0x9F),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x6DD, 0x6DD),
    (0x70F, 0x70F),
    (0x1806, 0x1806),
    (0x180B, 0x180E),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2063),
    (0x206A, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFC),
    (0x1D173, 0x1D17A),
    (0xE0001, 0xE0001),
    (0xE0020, 0xE007F),
)
# The same section, mapped to SPACE: the controls that separate words, and Unicode 3.2's separators.
_TO_SPACE = (
    (0x09, 0x0D),
    (0x85, 0x85),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
)
_MAP: dict[int, str | None] = {
    **{code: None for first, last in _TO_NOTHING for code in range(first, last + 1)},
    **{code: " " for first, last in _TO_SPACE for code in range(first, last + 1)},
}
_MARKS = frozenset(("Mn", "Mc", "Me"))


def prepare(text: str, *, fold_case: bool) -> str:
    """The form of a directory string that is compared.

    Args:
        text: A value as a person wrote it or as a certificate holds it, whatever its string type was.
        fold_case: True for caseIgnoreMatch, False for caseExactMatch.

    Returns:
        The prepared string without insignificant blanks. Where section 2.6.1 writes one SPACE before and after the
        value and two between words, this writes none and one: the forms match each other one to one.

    Raises:
        InvalidName: For a character that section 2.4 prohibits, for NUL, and for a value without a visible character.
    """
    if text.isascii() and text.isprintable():
        # Nothing to map, compose or prohibit: the general way gives the same, only slower.
        prepared = " ".join((text.lower() if fold_case else text).split())
    else:
        prepared = _prepare_unicode(text, fold_case=fold_case)
    if not prepared:
        raise InvalidName("an attribute value has no visible character; write at least one")
    return prepared


def _prepare_unicode(text: str, *, fold_case: bool) -> str:
    """The steps of RFC 4518 section 2 in their order; its bidirectional step does nothing."""
    if "\0" in text:
        # The RFC would drop it. In certificates it has been used to pass one name off for another: it never matches.
        raise InvalidName("an attribute value has a NUL character; leave it out")
    mapped = text.translate(_MAP)
    if fold_case:
        mapped = "".join(map(stringprep.map_table_b2, mapped))
    normalized = _UNICODE.normalize("NFKC", mapped)
    for char in normalized:
        if _is_prohibited(char):
            raise InvalidName(
                f"an attribute value has the character U+{ord(char):04X}, which RFC 4518 section 2.4 prohibits; "
                "use assigned characters of Unicode 3.2 only"
            )
    return _without_insignificant_spaces(normalized)


def _is_prohibited(char: str) -> bool:
    """RFC 4518 section 2.4: unassigned, private use, non-character, surrogate, changing the display, or U+FFFD."""
    return (
        stringprep.in_table_a1(char)
        or stringprep.in_table_c3(char)
        or stringprep.in_table_c4(char)
        or stringprep.in_table_c5(char)
        or stringprep.in_table_c8(char)
        or char == "\N{REPLACEMENT CHARACTER}"
    )


def _without_insignificant_spaces(text: str) -> str:
    """RFC 4518 section 2.6.1: a SPACE that no combining mark follows separates words, and else means nothing."""
    marked = (
        "\0" if char == " " and _UNICODE.category(following) not in _MARKS else char
        for char, following in pairwise(text + "\0")
    )
    return " ".join(filter(None, "".join(marked).split("\0")))
