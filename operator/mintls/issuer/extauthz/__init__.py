"""Envoy's ``ext_authz`` over gRPC: ``envoy.service.auth.v3.Authorization/Check``, the question of ``/verify``.

``wire`` and ``messages`` are the two messages, ``http2`` is gRPC on a socket, ``check`` leads from one to the other by
way of the endpoint. Nothing here decides about a request: that is ``mintls.issuer.endpoints.verify``.
"""
