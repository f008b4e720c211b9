"""Where phases run: ``inline`` (threads of this process) and ``process`` (warm worker processes; POSIX).

Nothing is imported here: a worker starts from this package, and its start is what a person waits for.
"""
