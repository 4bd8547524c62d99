"""A real Kubernetes API for tests, the demo and people.

What belongs here: finding or building a control plane, starting it, stopping it, saying how it is.
What does not: anything that runs *on* a cluster. Users of a cluster know a KUBECONFIG and nothing else.

The command is ``hack/cluster``; from Python, ``clusterlib.session.running_cluster`` is a context manager that
brings a cluster up and takes it down, and ``clusterlib.pytest_plugin`` makes a session fixture of it.

    cli, pytest_plugin > session > providers (existing, kind, embedded) > parts of embedded > files, processes

The parts of ``embedded``: ``golang`` (which Go), ``build`` (the binaries, once), ``pki`` (throw-away keys),
``components`` (what is started, with which flags), ``node`` (servers that run pods), ``processes`` (start, identify,
stop), ``record`` (what runs).
"""
