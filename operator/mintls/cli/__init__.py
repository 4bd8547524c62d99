"""Subcommands, which are the composition roots: only here are parts wired together and the environment read."""
