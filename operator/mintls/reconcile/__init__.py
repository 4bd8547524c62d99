"""Pure decisions: what was observed and ``now`` go in, a plan (a tuple of writes, and when to look again) comes out."""
