"""What people use instead, each as a small honest program: `python -m bench.rivals.NAME`.

Its arguments are the provider's URL, a folder, how many new jobs to follow, and
the interval in seconds at which to ask about each.  Started again it goes on
with whatever it still knows of.
"""
