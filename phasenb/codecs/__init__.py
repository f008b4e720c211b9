"""Values to bytes and back: JSON, Parquet, npy, PNG, text, bytes, pickle.

Rule: what is decoded equals what was encoded and has its type, or encoding takes another codec; pickle takes the rest.
"""

from phasenb.codecs.png import PngImage, is_picture
from phasenb.codecs.values import Encoded, check_readable, decode, encode, encode_artifact, json_object

__all__ = [
    "Encoded",
    "PngImage",
    "check_readable",
    "decode",
    "encode",
    "encode_artifact",
    "is_picture",
    "json_object",
]
