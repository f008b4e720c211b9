"""How a notebook's names travel: its classes, functions and constants, into a worker and back.

Rules:

* An object is *named* where its ``__module__`` is ``__main__`` and its ``__qualname__`` leads from there to itself.
* Code travels by value (``writing.CodePickler``). Values name things (``writing.ValuePickler``), and the definitions
  follow behind the pickle, for a reader that has none (``definitions``).
* A name is the reader's own object where there is one, else the definition beside the value (``reading``).
* Reading changes nothing that was there before: state is given only to what the same load made.
* A value without names of a notebook is a plain pickle, as any pickle of an earlier release is.

``home``: whose names they are; ``parts``: what is used of cloudpickle's inside; ``building``: what pickles call.
"""
