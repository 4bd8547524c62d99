"""X.509: names and their comparison, profiles, signing, inspection, trust. Pure; ``cryptography`` does the encoding."""
