"""What a person asks on the command line, as ``mintls ...`` or ``kubectl mintls ...``.

Each command reads the API with the person's own kubeconfig and rights. What is said is decided in ``report`` and
``credential``, of what was read and of the time; the commands only read, print and choose the exit status.
"""
