"""Pure functions and frozen values: no clock, no randomness taken by itself, no loop, no I/O, no logging.

Time is an argument (an aware UTC ``datetime``), entropy is an argument (``bytes`` or a key object).
The core knows neither HTTP nor Kubernetes.
"""
