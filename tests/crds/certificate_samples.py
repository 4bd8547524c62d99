"""ClientCertificates."""

from crds.name_samples import DURATION_OR_SHARE
from crds.sample import UNCHECKED, Sample, certificate, refused, too_long, unsupported

SERVICE_NAME = "must be a whole DNS name in lower case without a wildcard, such as billing.shop.svc"
SIZE = "Invalid value: size must be 256 or 384 for ECDSA, 2048, 3072 or 4096 for RSA, and left out for Ed25519"
ENCODING = (
    "Invalid value: encoding must be PKCS8 for Ed25519: PKCS1 stands for PKCS #1 of RSA and SEC 1 of ECDSA, "
    "and an Ed25519 key has no such form (RFC 8410 section 7)"
)
TEMPLATE_KEY = (
    "Invalid value: a key must be a name of up to 63 letters, digits, -, _ and ., with or without a DNS prefix in "
    "lower case and /, such as team or example.com/team"
)
TEMPLATE_OURS = (
    "Invalid value: app.kubernetes.io/managed-by and keys of mintls.dev/ are how Mintls knows its own Secrets: "
    "choose another key"
)
LABEL_VALUE = (
    "Invalid value: the value of a label must be letters, digits, -, _ and . with a letter or digit at both ends, "
    "such as blue"
)
RENEW_BEFORE = (
    "spec.renewBefore: Invalid value: renewBefore must be shorter than duration (24h if left out): it is how long "
    "before the end of a certificate the next one is made; leave it out for a third of duration"
)

REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\n"
REQUEST_DEMAND = (
    "must be one certificate request in PEM, from -----BEGIN CERTIFICATE REQUEST----- on; "
    "a private key has no place here"
)

CERTIFICATES = (
    certificate("only what is required"),
    certificate(
        "everything said",
        authorityRef={"name": "default"},
        duration="48h",
        renewBefore="47h59m59s",
        privateKey={"algorithm": "RSA", "size": 3072, "rotationPolicy": "Never", "encoding": "PKCS1"},
        secretTemplate={
            "labels": {"team": "blue", "example.com/tier": "", "A.b_C-9": "Va_l.u-e"},
            "annotations": {"example.com/note": "any text: \n\t ü", "mintls.development/x": ""},
        },
        dnsNames=["billing.shop.svc", "billing.shop.svc.cluster.local"],
    ),
    certificate("further forms", additionalOutputFormats=[{"type": "CombinedPEM"}, {"type": "DER"}]),
    certificate(
        "a further form twice",
        'spec.additionalOutputFormats[1]: Duplicate value: {"type":"DER"}',
        additionalOutputFormats=[{"type": "DER"}, {"type": "DER"}],
    ),
    certificate(
        "too many further forms",
        "spec.additionalOutputFormats: Too many: 3: must have at most 2 items",
        'spec.additionalOutputFormats[2]: Duplicate value: {"type":"DER"}',
        UNCHECKED,
        additionalOutputFormats=[{"type": "DER"}, {"type": "CombinedPEM"}, {"type": "DER"}],
    ),
    certificate(
        "another further form",
        unsupported("spec.additionalOutputFormats[0].type", "JKS", "CombinedPEM", "DER"),
        UNCHECKED,
        additionalOutputFormats=[{"type": "JKS"}],
    ),
    certificate(
        "a further form of no type",
        "spec.additionalOutputFormats[0].type: Required value",
        UNCHECKED,
        additionalOutputFormats=[{}],
    ),
    certificate(
        "a further form of a key that is elsewhere",
        "spec.additionalOutputFormats: Invalid value: with a request the key is not here, and can have no further "
        "form: leave additionalOutputFormats out",
        request=REQUEST,
        additionalOutputFormats=[{"type": "DER"}],
    ),
    certificate("a request", request=f"{REQUEST}AAAA\n-----END CERTIFICATE REQUEST-----\n"),
    *(
        certificate(f"request {value[:40]!r}", refused("spec.request", value, REQUEST_DEMAND), request=value)
        for value in ("", "CSR", f"x{REQUEST}", f"{REQUEST}-----BEGIN PRIVATE KEY-----")
    ),
    certificate("a request too long", too_long("spec.request", 65536), UNCHECKED, request=REQUEST + "A" * 65536),
    certificate("parts left empty", authorityRef={}, privateKey={}, dnsNames=[], secretTemplate={}),
    certificate("a template left empty", secretTemplate={"labels": {}, "annotations": {}}),
    certificate(
        "keys as many and as long as allowed",
        secretTemplate={
            "labels": {f"{'a' * 249}.bcd/{'e' * 61}{number}": "v" * 63 for number in range(10, 42)},
            "annotations": {f"{'a' * 249}.bcd/{'e' * 61}{number}": "v" * 4096 for number in range(10, 42)},
        },
    ),
    *(
        certificate(f"{part} key {key!r}", f"spec.secretTemplate.{part}: {message}", secretTemplate={part: {key: "x"}})
        for part in ("labels", "annotations")
        for key, message in [
            *((key, TEMPLATE_KEY) for key in ("", "a b", "-a", "a/b/c", "/a", "Example.com/a", "a" * 64, "ü")),
            (f"{'a' * 250}.bcd/x", TEMPLATE_KEY),
            *((key, TEMPLATE_OURS) for key in ("app.kubernetes.io/managed-by", "mintls.dev/x", "a.mintls.dev/x")),
        ]
    ),
    *(
        certificate(
            f"label {value!r}", f"spec.secretTemplate.labels: {LABEL_VALUE}", secretTemplate={"labels": {"x": value}}
        )
        for value in ("a b", "-a", "a.", "a/b")
    ),
    *(
        certificate(
            f"a long value in {part}",
            too_long(f"spec.secretTemplate.{part}.x", limit),
            UNCHECKED,
            secretTemplate={part: {"x": "v" * (limit + 1)}},
        )
        for part, limit in [("labels", 63), ("annotations", 4096)]
    ),
    *(
        certificate(
            f"too many {part}",
            f"spec.secretTemplate.{part}: Too many: 33: must have at most 32 items",
            UNCHECKED,
            secretTemplate={part: {f"k{number}": "v" for number in range(33)}},
        )
        for part in ("labels", "annotations")
    ),
    *(certificate(f"renewed before {share}", renewBefore=share) for share in ("1%", "33%", "99%")),
    certificate("renewed in a share of the shortest", duration="1m", renewBefore="17%"),
    certificate(
        "renewed in too small a share",
        "spec.renewBefore: Invalid value: renewBefore must be at least 10s of duration (24h if left out): choose more",
        duration="1m",
        renewBefore="16%",
    ),
    *(
        certificate(f"renewBefore {value!r}", refused("spec.renewBefore", value, DURATION_OR_SHARE), renewBefore=value)
        for value in ("0%", "100%", "33.3%", "033%", "-1%", "33", "33 %", "% 33", "1h33%")
    ),
    certificate("the shortest", duration="1m", renewBefore="10s"),
    *(
        certificate(f"{algorithm} {size}", privateKey={"algorithm": algorithm} | ({"size": size} if size else {}))
        for algorithm, size in [
            ("ECDSA", 256),
            ("ECDSA", 384),
            ("ECDSA", None),
            ("RSA", 2048),
            ("RSA", 3072),
            ("RSA", 4096),
            ("RSA", None),
            ("Ed25519", None),
        ]
    ),
    certificate("DNS names as many as allowed", dnsNames=[f"{'a' * 63}.{'b' * 58}.{i:03}.x" for i in range(500)]),
    certificate(
        "DNS names as long as allowed", dnsNames=[f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{i:057}.x" for i in range(254)]
    ),
    certificate(
        "DNS names too long in all",
        "spec.dnsNames: Invalid value: dnsNames must have no more than 64000 characters in all: programs take no "
        "larger certificate in a TLS handshake; share the names out among several ClientCertificates",
        dnsNames=[f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{i:057}.x" for i in range(255)],
    ),
    Sample("no spec", "ClientCertificate", None, ("spec: Required value", UNCHECKED)),
    Sample(
        "nothing said",
        "ClientCertificate",
        {},
        ("spec.clientRef: Required value", "spec.secretName: Required value", UNCHECKED),
    ),
    certificate("a client without a name", "spec.clientRef.name: Required value", UNCHECKED, clientRef={}),
    certificate("renewed before it is issued", RENEW_BEFORE, duration="1h", renewBefore="2h"),
    certificate("renewed as soon as it is issued", RENEW_BEFORE, duration="1h", renewBefore="60m"),
    certificate("renewed before the default duration", RENEW_BEFORE, renewBefore="25h"),
    certificate(
        "too short",
        refused("spec.duration", "59s", "must be at least 1m: clocks differ, and a renewal takes its time"),
        duration="59s",
    ),
    certificate("renewed too late", refused("spec.renewBefore", "9s", "must be at least 10s"), renewBefore="9s"),
    certificate(
        "another algorithm",
        unsupported("spec.privateKey.algorithm", "DSA", "ECDSA", "Ed25519", "RSA"),
        UNCHECKED,
        privateKey={"algorithm": "DSA"},
    ),
    *(
        certificate(f"{key}", f"spec.privateKey.size: {SIZE}", privateKey=key)
        for key in (
            {"size": 2048},
            {"size": 521},
            {"algorithm": "RSA", "size": 256},
            {"algorithm": "RSA", "size": 1024},
            {"algorithm": "Ed25519", "size": 256},
            {"size": 0},
        )
    ),
    certificate("ECDSA in SEC 1", privateKey={"encoding": "PKCS1"}),
    certificate("Ed25519 in PKCS #8", privateKey={"algorithm": "Ed25519", "encoding": "PKCS8"}),
    certificate(
        "Ed25519 in a form that it does not have",
        f"spec.privateKey.encoding: {ENCODING}",
        privateKey={"algorithm": "Ed25519", "encoding": "PKCS1"},
    ),
    certificate(
        "another encoding",
        unsupported("spec.privateKey.encoding", "SEC1", "PKCS1", "PKCS8"),
        UNCHECKED,
        privateKey={"encoding": "SEC1"},
    ),
    certificate(
        "another rotation policy",
        unsupported("spec.privateKey.rotationPolicy", "Sometimes", "Always", "Never"),
        UNCHECKED,
        privateKey={"rotationPolicy": "Sometimes"},
    ),
    *(
        certificate(f"DNS name {value!r}", refused("spec.dnsNames[0]", value, SERVICE_NAME), dnsNames=[value])
        for value in ("", "Billing.shop.svc", "*.shop.svc", "a_b", "a.", "10.0.0.7", "a" * 64)
    ),
    certificate("DNS name too long", too_long("spec.dnsNames[0]", 253), UNCHECKED, dnsNames=["a." * 126 + "aa"]),
    certificate("a DNS name twice", 'spec.dnsNames[1]: Duplicate value: "a"', dnsNames=["a", "a"]),
    certificate(
        "too many DNS names",
        "spec.dnsNames: Too many: 501: must have at most 500 items",
        UNCHECKED,
        dnsNames=[f"a{index}" for index in range(501)],
    ),
)
