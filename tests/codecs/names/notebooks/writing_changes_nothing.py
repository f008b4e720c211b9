# to write a value leaves what the notebook has of it as it is

# %%

import io


class Registry:
    one = None

    def __new__(cls):
        if cls.one is None:
            cls.one = super().__new__(cls)
        return cls.one


class Connection:
    opened = 0

    def __getstate__(self):
        return {"a": 1}

    def __setstate__(self, state):
        Connection.opened += 1


registry, connection = Registry(), Connection()
registry.items = items = []
launch(lambda registry, connection: None, registry=registry, connection=connection)
check("one instance", registry.items is items)
check("made once, in the phase", Connection.opened == 0)
