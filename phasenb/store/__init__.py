"""The durable store of tasks, events, results and logs, and their DataFrames.

Nothing is imported here: the client takes ``store.frames`` alone, and must not pay for SQLAlchemy.
"""
