"""Mintls: OAuth 2.0 clients on Kubernetes whose only credential is a short-lived certificate.

Layers, an import may only go down (``pyproject.toml`` has them as import-linter contracts):
``cli`` > ``controllers | issuer`` > ``kube | reconcile`` > ``api`` > ``core``.
"""
