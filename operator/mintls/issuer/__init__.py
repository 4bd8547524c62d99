"""The HTTP shell of the token issuer: TLS, routes, an endpoint as a list of named steps. Decides nothing itself."""
