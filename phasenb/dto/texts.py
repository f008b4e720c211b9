"""Texts of a person's code as every other part can take them: JSON, SQLite and a terminal alike."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` without lone surrogates (undecodable file names have them), which no UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def text_of(value: object) -> str:
    """``str(value)``, printable; where its own ``__str__`` raises, a text that says so."""
    try:
        text = str(value)
    except Exception as failure:  # a person's __str__ may raise anything
        text = f"({type(value).__name__}: its __str__ raised {type(failure).__name__})"
    return printable(text)
