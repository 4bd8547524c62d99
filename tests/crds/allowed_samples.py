"""Further names of a certificate, and which of them an authority allows."""

from crds.sample import UNCHECKED, Json, Sample, authority, certificate, quoted, refused, too_long
from crds.subject_samples import SAN_EMAIL, SAN_IP, SAN_URI, SAN_URI_DOTS

FURTHER = {
    "uris": (("https://a/b", "urn:a:b"), {SAN_URI: ("", "a"), SAN_URI_DOTS: ("https://a/../b",)}, 512, "https://a/"),
    "emailAddresses": (("a@b.example", "c@d.example"), {SAN_EMAIL: ("", "a", "a@b@c")}, 320, "a@"),
    "ipAddresses": (("10.0.0.1", "::1"), {SAN_IP: ("", "10.0.0.0/8", "a")}, 45, ""),
}

PATTERNS = {
    "dnsNames": (
        ("*.a.example", "b.example"),
        ("", "*", "*.", "a.*.example", "A.example", "a b"),
        "must be a DNS name in lower case such as shop.example, or *.shop.example for all names below it",
        253,
    ),
    "uris": (
        ("https://a/*", "https://b/c"),
        ("", "a", "https://a/*/b", "https://*"),
        "must be a URI with scheme and host such as https://shop.example/app, or with a * at its end for whatever "
        "follows",
        512,
    ),
    "emailAddresses": (
        ("*@a.example", "b@c.example"),
        ("", "a", "*a@b", "a@*"),
        "must be an e-mail address such as billing@shop.example, or *@shop.example for all of that domain",
        320,
    ),
    "ipAddresses": (
        ("10.0.0.0/8", "::1"),
        ("", "a/8x", "10.0.0.*"),
        "must be an IP address or a network, such as 10.0.0.7 or 10.0.0.0/8",
        43,
    ),
}


def further() -> list[Sample]:
    made = []
    for field, (good, bad, longest, begin) in FURTHER.items():
        path = f"spec.{field}"
        made += [
            certificate(f"{field}", **{field: list(good)}),
            certificate(f"{field} twice", f"{path}[1]: Duplicate value: {quoted(good[0])}", **{field: [good[0]] * 2}),
            certificate(
                f"too many {field}",
                f"{path}: Too many: 9: must have at most 8 items",
                UNCHECKED,
                **{field: [f"{begin}{number}" for number in range(9)]},
            ),
            certificate(
                f"{field} too long",
                too_long(f"{path}[0]", longest),
                UNCHECKED,
                **{field: [begin + "1" * (longest + 1)]},
            ),
        ]
        made += [
            certificate(f"{field} {value!r}", refused(f"{path}[0]", value, message), **{field: [value]})
            for message, values in bad.items()
            for value in values
        ]
    return made


def allowed(title: str, *errors: str, **rule: Json | list[str]) -> Sample:
    return authority(title, *errors, policy={"allowedNames": [rule]})


def patterns() -> list[Sample]:
    at = "spec.policy.allowedNames"
    made = [
        allowed("names of chosen namespaces", namespaceSelector={"matchLabels": {"team": "blue"}}, dnsNames=["a.b"]),
        authority("rules that say nothing", policy={"allowedNames": [{}, {}]}),
        authority(
            "too many rules",
            f"{at}: Too many: 17: must have at most 16 items",
            UNCHECKED,
            policy={"allowedNames": [{}] * 17},
        ),
    ]
    for field, (good, bad, message, longest) in PATTERNS.items():
        path = f"{at}[0].{field}"
        made += [
            allowed(f"allowed {field}", **{field: list(good)}),
            allowed(
                f"allowed {field} twice", f"{path}[1]: Duplicate value: {quoted(good[0])}", **{field: [good[0]] * 2}
            ),
            allowed(
                f"too many allowed {field}",
                f"{path}: Too many: 17: must have at most 16 items",
                UNCHECKED,
                **{field: [f"{good[1]}{number}" for number in range(1, 18)]},
            ),
            allowed(
                f"allowed {field} too long",
                too_long(f"{path}[0]", longest),
                UNCHECKED,
                **{field: [good[1] + "1" * longest]},
            ),
        ]
        made += [
            allowed(
                f"allowed {field} {value!r}",
                refused(f"{path}[0]", value, message),
                **{field: [value]},
            )
            for value in bad
        ]
    return made


ALLOWED_SAMPLES = (*further(), *patterns())
