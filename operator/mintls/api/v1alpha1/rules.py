"""The vocabulary in which a field states its rules, so that the API server refuses a bad object at ``kubectl apply``.

A rule that a person can break is a CEL rule with a message that says what is right: the API server's own message for a
``pattern`` shows a regular expression and no more. ``pattern`` is left to what only programs write. Lengths bound the
cost of a rule and are stated in the schema (``max_length``).

CEL's regular expressions are RE2's, and match anywhere unless anchored.

Source: Kubernetes documentation, "CustomResourceDefinitions", "Validation rules"; "Common Expression Language in
Kubernetes".
"""

from typing import Any, NamedTuple

from msgspec import Meta

from mintls.core.oauth.extra_claims import OWN_PREFIX, RESERVED


class Rule(NamedTuple):
    """A CEL rule.

    Attributes:
        rule: The expression, in which ``self`` is the value that the rule stands at.
        message: Shown when it is false: what is right, and why if that is not plain.
        field: The field of the value that the message speaks of; "" for the value itself.
    """

    rule: str
    message: str
    field: str = ""

    def as_schema(self) -> dict[str, str]:
        """An entry of ``x-kubernetes-validations``."""
        entry = {"rule": self.rule, "message": self.message}
        return entry | {"fieldPath": f".{self.field}"} if self.field else entry


def cel(*rules: Rule) -> dict[str, Any]:
    """JSON-schema extension that holds CEL rules."""
    return {"x-kubernetes-validations": [rule.as_schema() for rule in rules]}


LIST_MAP_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
LIST_MAP_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
LIST_MAP_BY_FINGERPRINT = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["fingerprint"]}
LIST_SET = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC = {"x-kubernetes-list-type": "atomic"}


def matches(pattern: str, value: str = "self") -> str:
    """CEL: the whole value matches. The pattern must not contain a quotation mark."""
    return f'{value}.matches(r"^({pattern})$")'


# -- Durations -------------------------------------------------------------------------------------------------------

# Go's spelling (time.ParseDuration) without fractions. The digits are bounded so that the sum stays below the 292 years
# that CEL's duration() can hold: beyond it the rule would fail with an error of its own instead of our message.
DURATION = "([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?"


def _is_duration(value: str) -> str:
    return f"{value} != '' && {matches(DURATION, value)}"


_DURATION_RULE = Rule(
    _is_duration("self"),
    "must be a duration in hours, minutes and seconds, such as 24h, 90m or 1h30m",
)


def duration_meta(description: str, *more: Rule) -> Meta:
    """Schema of a duration, kept as the user wrote it; ``more`` are further rules for it."""
    return Meta(
        description=f"{description} In hours, minutes and seconds, such as `24h`, `90m` or `1h30m`.",
        max_length=32,
        extra_json_schema=cel(_DURATION_RULE, *more),
    )


PERCENTAGE = "[1-9][0-9]?%"

_DURATION_OR_PERCENTAGE = Rule(
    f"{_is_duration('self')} || {matches(PERCENTAGE)}",
    "must be a duration in hours, minutes and seconds, such as 8h or 1h30m, "
    "or a whole percentage from 1% to 99%, such as 33%",
)


def duration_or_percentage_meta(description: str, *more: Rule) -> Meta:
    """Schema of a duration or a share of one, kept as the user wrote it; ``more`` are further rules for it."""
    return Meta(description=description, max_length=32, extra_json_schema=cel(_DURATION_OR_PERCENTAGE, *more))


def percentage_from(share: str, whole: str, shortest: int, message: str) -> Rule:
    """A percentage of a duration below the value, both by their paths, is ``shortest`` seconds or longer.

    Silent while one of them is absent, ``share`` is no percentage or ``whole`` is no duration.
    """
    paths = f"self.{share}", f"self.{whole}"
    known = " && ".join([*map(_has, paths), matches(PERCENTAGE, paths[0]), _is_duration(paths[1])])
    seconds = f"duration({paths[1]}).getSeconds() * int({paths[0]}.replace('%', ''))"
    return Rule(f"!({known}) || {seconds} >= {shortest * 100}", message, share)


def duration_from(shortest: str, message: str) -> Rule:
    """A duration is ``shortest`` or longer. Silent about what is no duration: that has a rule of its own."""
    return Rule(f"!({_is_duration('self')}) || duration(self) >= duration('{shortest}')", message)


def duration_between(shortest: str, longest: str, message: str) -> Rule:
    """A duration is from ``shortest`` to ``longest``, both included."""
    in_range = f"duration(self) >= duration('{shortest}') && duration(self) <= duration('{longest}')"
    return Rule(f"!({_is_duration('self')}) || ({in_range})", message)


def durations_ordered(left: str, operator: str, right: str, message: str) -> Rule:
    """Two durations below the value, by their paths, compare as stated; the message is about the left one.

    Silent while one of them is no duration, or absent: the API server checks a default before it fills in those
    inside of it.
    """
    paths = f"self.{left}", f"self.{right}"
    both = " && ".join([*map(_has, paths), *map(_is_duration, paths)])
    return Rule(f"!({both}) || duration({paths[0]}) {operator} duration({paths[1]})", message, left)


def _has(path: str) -> str:
    parts = path.split(".")
    return " && ".join(f"has({'.'.join(parts[: end + 1])})" for end in range(1, len(parts)))


# -- Names -----------------------------------------------------------------------------------------------------------

_OBJECT_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
OBJECT_NAME = Rule(
    matches(f"{_OBJECT_LABEL}([.]{_OBJECT_LABEL})*"),
    "must be the name of an object: lower-case letters, digits, - and . with a letter or digit at both ends, "
    "such as billing",
)


# Kubernetes API reference, "Secret": keys of data.
SECRET_KEY = Rule(
    matches("[A-Za-z0-9._-]+"), "must be a key of a Secret: letters, digits, -, _ and . only, such as password"
)
# Java turns an alias that it is asked for into lower case, and then finds no other.
KEYSTORE_ALIAS = Rule(
    matches("[a-z0-9]([a-z0-9._-]*[a-z0-9])?"),
    "must be lower-case letters, digits, -, _ and . with a letter or digit at both ends, such as certificate",
)


def object_name_meta(description: str) -> Meta:
    """Schema of an object's name (RFC 1123 subdomain, as Kubernetes demands of most names)."""
    return Meta(description=description, max_length=253, extra_json_schema=cel(OBJECT_NAME))


NAMESPACE_NAME = Rule(
    matches(_OBJECT_LABEL),
    "must be the name of a namespace: lower-case letters, digits and - with a letter or digit at both ends, "
    "such as mintls-system",
)
API_GROUP = Rule(
    matches(f"{_OBJECT_LABEL}([.]{_OBJECT_LABEL})+"),
    "must be an API group, such as cert-manager.io",
)
_VAULT_NAME = "[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?"
VAULT_NAME = Rule(
    matches(_VAULT_NAME),
    "must be a name as Vault has them: letters, digits, - . and _ with a letter, digit or _ at both ends",
)
VAULT_MOUNT = Rule(
    matches(f"{_VAULT_NAME}(/{_VAULT_NAME})*"),
    "must be the path of a mount without a slash at its ends, such as pki or team/pki",
)
KIND_NAME = Rule(
    matches("[A-Z][A-Za-z0-9]*"),
    "must be a kind in CamelCase, such as Issuer or ClusterIssuer",
)


# RFC 1034 section 3.5 as RFC 1123 section 2.1 widens it: a label has up to 63 characters; what ends in a number is an
# address.
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = f"{_LABEL}([.]{_LABEL})*"
_LOWER_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_ENDS_IN_A_NUMBER = 'self.matches(r"(^|[.])[0-9]+$")'

SERVICE_NAME = Rule(
    f"{matches(f'{_LOWER_LABEL}([.]{_LOWER_LABEL})*')} && !{_ENDS_IN_A_NUMBER}",
    "must be a whole DNS name in lower case without a wildcard, such as billing.shop.svc",
)
SAN_DNS = (
    Rule(matches(_HOST), "must be a whole DNS name without a wildcard or a final dot, such as billing.shop.svc"),
    Rule(f"!{_ENDS_IN_A_NUMBER}", "ends in a number, as an IP address does: write an address in sanIP"),
)
SAN_IP = Rule(
    "isIP(self)",
    "must be an IPv4 or IPv6 address, such as 10.0.0.7 or 2001:db8::7; a range is not a name",
)
# RFC 5280 section 4.2.1.6: a Mailbox in ASCII; of RFC 5321 section 4.1.2 its Dot-string.
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
SAN_EMAIL = Rule(
    matches(f"{_ATOM}([.]{_ATOM})*@{_HOST}"),
    "must be one e-mail address in ASCII, such as billing@shop.example",
)

# RFC 3986 section 3 and appendix A, without the rules for single schemes.
_PCHAR = "[A-Za-z0-9._~:@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}"
_USER = "([A-Za-z0-9._~:!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*@"
_AUTHORITY = rf"//({_USER})?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=-]+)(:[0-9]*)?"
_AFTER_HOST = f"(/({_PCHAR}|/)*)?"
_WITHOUT_HOST = f"/|/?({_PCHAR})({_PCHAR}|/)*"
_QUERY = f"([?]({_PCHAR}|[/?])*)?"
_FRAGMENT = f"(#({_PCHAR}|[/?])*)?"
_ABSOLUTE_URI = f"[A-Za-z][A-Za-z0-9+.-]*:({_AUTHORITY}{_AFTER_HOST}|{_WITHOUT_HOST}){_QUERY}"
SAN_URI = (
    Rule(
        matches(_ABSOLUTE_URI + _FRAGMENT),
        "must be an absolute URI in ASCII, such as spiffe://cluster.local/ns/shop/client/billing",
    ),
    Rule(
        r"""!self.find(r"^[^?#]*").matches(r"[/:]([.]|%2[Ee]){1,2}(/|$)")""",
        "must not have . or .. as a part of its path: write the path without",
    ),
)
REQUEST = Rule(
    r"self.matches(r'^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----') && !self.contains('PRIVATE KEY')",
    "must be one certificate request in PEM, from -----BEGIN CERTIFICATE REQUEST----- on; a private key has no place "
    "here",
)
DNS_PATTERN = Rule(
    matches(f"([*][.])?{_LOWER_LABEL}([.]{_LOWER_LABEL})*"),
    "must be a DNS name in lower case such as shop.example, or *.shop.example for all names below it",
)
URI_PATTERN = Rule(
    matches("[A-Za-z][A-Za-z0-9+.-]*://[^*]+[*]?"),
    "must be a URI with scheme and host such as https://shop.example/app, or with a * at its end for whatever follows",
)
EMAIL_PATTERN = Rule(
    matches("([*]|[^@*]+)@[^@*]+"),
    "must be an e-mail address such as billing@shop.example, or *@shop.example for all of that domain",
)
IP_PATTERN = Rule(
    "isIP(self) || isCIDR(self)",
    "must be an IP address or a network, such as 10.0.0.7 or 10.0.0.0/8",
)

SERVER_URL = Rule(
    matches(rf"https://({_HOST}|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?"),
    "must be https:// with a host, and a port if it is not 443, and nothing after it, such as https://ca.example:9000",
)

AUDIENCE = Rule(
    matches(_ABSOLUTE_URI),
    "must be an absolute URI without a fragment (RFC 8707 section 2), such as https://orders.shop.svc",
)

JWKS_URI = Rule(
    matches(rf"https://(\[[0-9A-Fa-f:.]+\]|{_HOST})(:[0-9]{{1,5}})?{_AFTER_HOST}{_QUERY}"),
    "must be an https URL without user and fragment, such as https://billing.example/jwks.json",
)

# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
SCOPE_TOKEN = Rule(
    matches(r"[\x21\x23-\x5B\x5D-\x7E]+"),
    "must be one scope in visible ASCII characters without quotation mark and backslash (RFC 6749 section 3.3), "
    "such as orders.read; several scopes are several items",
)
CLIENT_ID = Rule(
    matches("[A-Za-z0-9._~@-]+"),
    "must consist of letters, digits and . _ ~ @ - only; a colon is reserved for ids made of namespace and name",
)

# -- Claims ----------------------------------------------------------------------------------------------------------

EXTRA_CLAIMS = (
    Rule(
        f"self.all(name, !(name in {sorted(RESERVED)!r}) && !name.startsWith('{OWN_PREFIX}'))",
        "has a claim that the issuer alone says, such as sub, scope or cnf: take another name, such as tenant",
    ),
    Rule(
        f"self.all(name, {matches('[A-Za-z][A-Za-z0-9_.:/-]{0,127}', 'name')})",
        "has a name that is none: up to 128 letters, digits and _ . : / -, a letter first, such as tenant",
    ),
)

# -- Certificates ----------------------------------------------------------------------------------------------------

# RFC 7468 section 5, of which one. What is inside is read by the operator.
PEM_CERTIFICATE = Rule(
    matches(r"\s*-----BEGIN CERTIFICATE-----\s*[A-Za-z0-9+/][A-Za-z0-9+/=\s]*-----END CERTIFICATE-----\s*"),
    "must be one certificate in PEM and nothing else, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----; "
    "several certificates are several items, and a private key has no place here",
)
PEM_CERTIFICATES = Rule(
    r"self.matches(r'^\s*-----BEGIN CERTIFICATE-----') && !self.contains('PRIVATE KEY')",
    "must be certificates in PEM, from -----BEGIN CERTIFICATE----- on; a private key has no place here",
)
# RFC 7517 section 4.7: base64, not base64url, of DER.
X5C = Rule(
    matches("[A-Za-z0-9+/]+={0,2}"),
    "must be a certificate in DER as base64 (RFC 7517 section 4.7): a PEM certificate without its first and last line, "
    "on one line",
)

# -- Labels and annotations ------------------------------------------------------------------------------------------

# Kubernetes documentation, "Labels and Selectors", "Syntax and character set".
_LABEL_NAME = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = f"({_OBJECT_LABEL}([.]{_OBJECT_LABEL})*/)?{_LABEL_NAME}"
_KEYS = Rule(
    f"self.all(key, {matches(_LABEL_KEY, 'key')} && key.indexOf('/') <= 253)",
    "a key must be a name of up to 63 letters, digits, -, _ and ., with or without a DNS prefix in lower case and /, "
    "such as team or example.com/team",
)
_VALUES = Rule(
    f"self.all(key, {matches(f'({_LABEL_NAME})?', 'self[key]')})",
    "the value of a label must be letters, digits, -, _ and . with a letter or digit at both ends, such as blue",
)
_OURS = Rule(
    r"""!self.exists(key, key == 'app.kubernetes.io/managed-by' || key.matches(r"^([^/]*[.])?mintls[.]dev/"))""",
    "app.kubernetes.io/managed-by and keys of mintls.dev/ are how Mintls knows its own Secrets: choose another key",
)
LABELS: dict[str, Any] = cel(_KEYS, _VALUES, _OURS)
ANNOTATIONS: dict[str, Any] = cel(_KEYS, _OURS)

# -- Distinguished names ---------------------------------------------------------------------------------------------

# The attribute types that have a name: those of RFC 4514 section 3 and what openssl prints (RFC 4519, RFC 2985, X.520).
# Letter case does not matter (RFC 4512 section 2.5).
DN_TYPES = (
    *("CN", "OU", "O", "L", "ST", "C", "street", "DC", "UID"),
    *("commonName", "organizationalUnitName", "organizationName", "localityName", "stateOrProvinceName", "countryName"),
    *("streetAddress", "domainComponent", "userId", "emailAddress", "serialNumber", "SN", "surname", "GN", "givenName"),
    *("initials", "title", "generationQualifier", "dnQualifier", "pseudonym", "postalCode", "businessCategory"),
    *("organizationIdentifier", "unstructuredName"),
)
_DN_OID = "([Oo][Ii][Dd][.])?[0-2]([.](0|[1-9][0-9]*))+"
_DN_NAME = "[A-Za-z][A-Za-z0-9-]*"
_DN_KNOWN_NAME = f"(?i:{'|'.join(DN_TYPES)})"
# RFC 4514 section 3. A value is hexadecimal BER, or a string in which the special characters are escaped. Refused
# although the grammar has them: the empty name, the empty value and NUL, which identify nobody, and raw control
# characters, which openssl escapes and which in YAML are a line end that somebody did not mean. Refused are also blanks
# around "=": so openssl prints the reverse order.
_DN_PAIR = r"\\([\\\x22+,;<> #=]|0[1-9A-Fa-f]|[1-9A-Fa-f][0-9A-Fa-f])"
_DN_NEVER = r"\x00-\x1F\x7F\x22+,;<>\\"
_DN_STRING = f"([^ #{_DN_NEVER}]|{_DN_PAIR})(([^{_DN_NEVER}]|{_DN_PAIR})*([^ {_DN_NEVER}]|{_DN_PAIR}))?"


def _dn(name: str) -> str:
    attribute = f"({name}|{_DN_OID})=(#([0-9A-Fa-f]{{2}})+|{_DN_STRING})"
    return matches(f"{attribute}([,+] ?{attribute})*")


DISTINGUISHED_NAME = (
    Rule(
        _dn(_DN_NAME),
        "must be a distinguished name as in RFC 4514, most specific part first, such as CN=billing,OU=shop,O=Example; "
        r"write a comma inside a value as \, (openssl x509 -noout -subject -nameopt RFC2253 prints it so)",
    ),
    Rule(
        f"!{_dn(_DN_NAME)} || {_dn(_DN_KNOWN_NAME)}",
        "has an attribute type that is not known by a name: use CN, OU, O, L, ST, C, street, DC, UID, emailAddress, "
        "serialNumber and the like, or the object identifier, such as 2.5.4.97=NTRDE-123; "
        "leave out the subject= that openssl prints before the name",
    ),
)
