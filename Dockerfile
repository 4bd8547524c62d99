# The one image: `mintls operator` and `mintls issuer`. `make image` builds it.
# Any base with glibc, Python 3.13 and its venv module will do, such as one made of Debian 13's packages.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS base
# A stage without an instruction leaves a container behind (buildah 1.28).
WORKDIR /src

FROM base AS build
ARG UV_VERSION=0.13.9
# The lock file decides what is installed; nothing is compiled, as every dependency has wheels.
ENV UV_PROJECT_ENVIRONMENT=/opt/mintls \
    UV_PYTHON=python3.13 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_SYSTEM_CERTS=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3.13 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --quiet "uv==${UV_VERSION}"
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-install-project --no-build
COPY README.md LICENSE ./
COPY operator ./operator
COPY hack/image-root ./hack/
# -I: this folder has a package named operator, as Python itself has.
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-editable --reinstall-package mintls && \
    python3.13 -I hack/image-root /image /opt/mintls mintls kubectl-mintls

# Nothing of the base but what Python needs: no shell, no package manager, no compiler, no setuid program.
FROM scratch
COPY --from=build /image /
# From the base itself: a build may see the certificates of the machine that it runs on.
COPY --from=base /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="mintls" \
      org.opencontainers.image.description="OAuth 2.0 clients on Kubernetes whose only credential is a short-lived certificate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The bytecode is there already, and the root file system may be read-only.
ENV PATH=/opt/mintls/bin \
    LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number: Kubernetes cannot tell of a name whether it is root.
USER 65532:65532
ENTRYPOINT ["/opt/mintls/bin/mintls"]
