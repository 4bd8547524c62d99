"""OAuth 2.0 as the RFCs say it: registration, client authentication, tokens, introspection, metadata, errors. Pure."""
