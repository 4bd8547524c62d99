"""A node for the embedded cluster: real pods, Services, DNS, probes, without a container engine.

Everything of the cluster runs in a network namespace of its own, joined to the machine by a virtual cable, so the
machine's network, its iptables rules and its ports stay as they are. Needs Linux and root.

    machine     what has to be installed, and installing it
    network     the namespace and the cable
    cgroups     the control groups that pods live in
    settings    the files that the servers read
    parts       the servers: how they are started, and how one sees that they work
    images      bringing images in
    leftovers   taking all of it away again, also after a crash
"""
