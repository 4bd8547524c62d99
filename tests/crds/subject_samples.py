"""The five kinds of subject names: values that are taken, and those that are refused."""

from dataclasses import dataclass, field

from crds.sample import UNCHECKED, Sample, client, refused, too_long

DN = (
    "must be a distinguished name as in RFC 4514, most specific part first, such as CN=billing,OU=shop,O=Example; "
    "write a comma inside a value as \\, (openssl x509 -noout -subject -nameopt RFC2253 prints it so)"
)

DN_TYPE = (
    "has an attribute type that is not known by a name: use CN, OU, O, L, ST, C, street, DC, UID, emailAddress, "
    "serialNumber and the like, or the object identifier, such as 2.5.4.97=NTRDE-123; "
    "leave out the subject= that openssl prints before the name"
)

SAN_DNS = "must be a whole DNS name without a wildcard or a final dot, such as billing.shop.svc"

SAN_DNS_ADDRESS = "ends in a number, as an IP address does: write an address in sanIP"

SAN_URI = "must be an absolute URI in ASCII, such as spiffe://cluster.local/ns/shop/client/billing"

SAN_URI_DOTS = "must not have . or .. as a part of its path: write the path without"

SAN_IP = "must be an IPv4 or IPv6 address, such as 10.0.0.7 or 2001:db8::7; a range is not a name"

SAN_EMAIL = "must be one e-mail address in ASCII, such as billing@shop.example"


@dataclass(frozen=True)
class Subject:
    """A kind of subject name: values that it takes and values that it refuses, by message."""

    kind: str
    good: tuple[str, ...]
    bad: dict[str, tuple[str, ...]] = field(default_factory=dict)


SUBJECTS = (
    Subject(
        "subjectDN",
        good=(
            "CN=billing",
            "CN=billing,OU=shop,O=Example",
            "CN=billing, OU=shop, O=Example",
            "cn=billing,o=Example",
            "UID=jsmith,DC=example,DC=net",  # RFC 4514 section 4, as the next five
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            r"CN=James \"Jim\" Smith\, III,DC=example,DC=net",
            r"CN=Before\0dAfter,DC=example,DC=net",
            "1.3.6.1.4.1.1466.0=#04024869",
            r"CN=Lu\C4\8Di\C4\87",
            "CN=Lučić,O=株式会社",
            "OID.2.5.4.3=billing",
            r"CN=\ leading and trailing\ ",
            r"CN=\#1",
            "CN=C#",
            "CN=a=b",
            "emailAddress=billing@shop.example,CN=billing",
            "serialNumber=0123,C=DE",
            r"CN=a\+b\;c\<d\>e\\f\=g",
            "O=it's",
        ),
        bad={
            DN: (
                "",
                "billing",
                "CN",
                "CN=",
                "=billing",
                "CN=a,",
                ",CN=a",
                "CN=a,,O=b",
                "CN=a;O=b",
                "/CN=billing/O=Example",
                "CN=a,O=Example, Inc.",
                'CN="a"',
                "CN=<a>",
                "CN= a",
                "CN=a ",
                "CN = a, O = b",
                r"CN=a\g",
                "CN=a\\",
                "CN=#abc",
                "CN=#",
                r"CN=a\00",
                "CN=a\n",
                "3.5.4.3=a",
                "2.05=a",
                "2=a",
                "CN=a+",
            ),
            DN_TYPE: ("subject=CN=billing", "FOO=bar", "CN=a,X-Y=b"),
        },
    ),
    Subject(
        "sanDNS",
        good=(
            "billing",
            "billing.shop.svc",
            "Billing.Shop.SVC",
            "xn--bcher-kva.example",
            "a" * 63 + ".x",
            "1a.2b",
            "3.x",
        ),
        bad={
            SAN_DNS: (
                "",
                "*.shop.svc",
                "billing.",
                ".billing",
                "a..b",
                "a_b",
                "-a",
                "a-",
                "a" * 64,
                "bücher.example",
                "a b",
            ),
            SAN_DNS_ADDRESS: ("10.0.0.7", "a.1"),
        },
    ),
    Subject(
        "sanURI",
        good=(
            "spiffe://cluster.local/ns/shop/client/billing",
            "https://shop.example:8443/a/b?c=d#e",
            "https://user@[2001:db8::7]/",
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "mailto:billing@shop.example",
            "https://shop.example/a%20b/.../it's?../.",
        ),
        bad={
            SAN_URI: (
                "",
                "billing",
                "//cluster.local/x",
                "spiffe:",
                "spiffe://",
                "spiffe:///ns",
                "spiffe://cluster.local/a b",
                "spiffe://cluster.local/ü",
                "https://a/%zz",
                "https://a/#b#c",
                "1http://a",
                'https://a/"',
                "https://a\n",
            ),
            SAN_URI_DOTS: (
                "spiffe://cluster.local/ns/../client",
                "spiffe://cluster.local/.",
                "https://a/b/%2e%2E/c",
                "https://a/..?x",
            ),
        },
    ),
    Subject(
        "sanIP",
        good=("10.0.0.7", "2001:db8::7", "::1", "2001:DB8:0:0:0:0:0:7"),
        bad={
            SAN_IP: (
                "",
                "10.0.0.0/8",
                "10.0.0",
                "010.0.0.7",
                "10.0.0.7:80",
                "fe80::1%eth0",
                "[::1]",
                "::ffff:1.2.3.4",
                "a",
            )
        },
    ),
    Subject(
        "sanEmail",
        good=("billing@shop.example", "a.b+c@shop", "o'brien@shop.example", "x@1.example"),
        bad={
            SAN_EMAIL: (
                "",
                "billing",
                "@shop.example",
                "billing@",
                "a@b@c",
                ".a@b",
                "a..b@c",
                "a b@c",
                "Billing <billing@shop.example>",
                "bücher@shop.example",
                "a@-b",
                "a@b.",
            )
        },
    ),
)
SUBJECT_LIMITS = {"subjectDN": 1024, "sanDNS": 253, "sanURI": 2048, "sanIP": 45, "sanEmail": 320}


def subject_samples() -> list[Sample]:
    made = []
    for subject in SUBJECTS:
        path = f"spec.tlsClientAuth.{subject.kind}"
        made += [client(f"{subject.kind} {v!r}", tlsClientAuth={subject.kind: v}) for v in subject.good]
        made += [
            client(f"{subject.kind} {v!r}", refused(path, v, message), tlsClientAuth={subject.kind: v})
            for message, values in subject.bad.items()
            for v in values
        ]
        limit = SUBJECT_LIMITS[subject.kind]
        long = client(
            f"{subject.kind} too long",
            too_long(path, limit),
            UNCHECKED,
            tlsClientAuth={subject.kind: "a" * (limit + 1)},
        )
        made.append(long)
    return made
