# variables that a script has beside its own names

# %%
"""What the script says."""

__version__ = "1.2"
__file__ = "/somewhere/script.py"


def f():
    return __version__, __file__, __doc__, __name__


check("as in the script", launch(f).result() == ("1.2", "/somewhere/script.py", "What the script says.", "__main__"))
check("the reader has its own", (__version__, __file__) == ("1.2", "/somewhere/script.py"))
