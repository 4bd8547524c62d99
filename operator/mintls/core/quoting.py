"""What another program said, fit to stand in a condition or an event."""

LONGEST = 300
"""More of it helps nobody, and a status has to stay small."""


def quoted(said: str, *secrets: str) -> str:
    """One line of what was said, without anything that a terminal would obey.

    Args:
        said: Whatever it is.
        secrets: What must not be repeated of it; empty ones count for nothing.
    """
    plain = "".join(character if character.isprintable() else " " for character in said)
    for secret in filter(None, secrets):
        plain = plain.replace(secret, "...")
    return plain.strip()[:LONGEST] or "it says nothing more"
