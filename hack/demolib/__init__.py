"""The demo: from ``kubectl apply`` to a certificate-bound token, each step a command that a person could type.

What belongs here: what the demo does and shows. What does not: how a cluster is had (``clusterlib``), and what the
parts of Mintls do; the demo knows them by their commands, their objects and their answers alone.

    cli > demo > servers, story > steps > console, record, place

``story`` is the text of the demo: a tuple of steps. A step is a bash command and a check of what came of it
(``checks``). Commands pass values on through files in the demo's folder, so that any of them can be copied from the
output and run again.
"""
