"""The token issuer: the HTTP shell around ``mintls.core.oauth``.

What belongs here: listeners, TLS, what is watched and kept in memory, reading requests, signing with the current key,
counting, and the audit log. What does not: any rule about who may have what, which is ``mintls.core.oauth``.

How a request goes::

    server      method, path, body ──► Call
    endpoints   named steps over mintls.core.oauth; the registration from directory, the certificate from peer,
                its path from paths ──► Answer, or an OAuthError that errors maps to a status
    audit, metrics   what was decided, and how often
"""
