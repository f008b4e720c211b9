"""What encode refuses and how, artifacts, previews, and how decode meets references of other releases."""

import threading

import matplotlib as mpl
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.codecs import PngImage, decode, encode, encode_artifact
from phasenb.codecs.objects import ObjectFolder
from phasenb.codecs.previews import MAX_CHARS, head, preview
from phasenb.dto.values import Artifact, as_reference
from phasenb.errors import UnknownObject, ValueNotStorable

mpl.use("Agg")


@pytest.fixture
def folder(tmp_path):
    return ObjectFolder(str(tmp_path / "objects"))


def figure():
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots()
    axes.plot([1, 2, 3])
    plt.close(drawn)
    return drawn


def stored_files(folder):
    from pathlib import Path

    return [path for path in Path(folder.url).rglob("*") if path.is_file()]


def test_an_unstorable_value_is_refused_by_name_and_leaves_nothing(folder):
    with pytest.raises(ValueNotStorable) as refused:
        encode({"lock": threading.Lock()}, folder, where="the output of research")
    assert "the output of research is a dict that can't be stored" in str(refused.value)
    assert "lock" in refused.value.problem
    assert stored_files(folder) == []


def test_a_value_whose_pickling_raises_anything_is_refused(folder):
    class Touchy:
        def __reduce__(self):
            raise KeyError("no")

    with pytest.raises(ValueNotStorable, match="KeyError"):
        encode(Touchy(), folder)


def test_a_disk_that_fails_is_not_blamed_on_the_value(tmp_path):
    (tmp_path / "objects").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="objects"):
        encode((1, 2), ObjectFolder(str(tmp_path / "objects")))


def test_a_class_of_a_notebook_travels_by_value(folder):
    namespace = {"__name__": "__main__"}
    exec("class Model:\n    def predict(self): return 42", namespace)  # as a cell does
    back = decode(encode(namespace["Model"](), folder).value, folder)
    assert back.predict() == 42


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        ("json", {"a": 1}),
        ("text", "hello"),
        ("bytes", b"hello"),
        ("npy", np.arange(3)),
        ("parquet", pd.DataFrame({"a": [1]})),
        ("pickle", {"a": 1}),
    ],
)
def test_a_named_codec_is_used_and_makes_a_reference(folder, codec, value):
    encoded = encode(value, folder, codec=codec)
    assert encoded.value["codec"] == codec
    assert np.all(decode(encoded.value, folder) == value)


@pytest.mark.parametrize(
    ("codec", "value", "told"),
    [
        ("json", (1, 2), "can't give it back as it is"),
        ("parquet", pd.DataFrame({1: [1]}), "can't give it back as it is"),
        ("npy", [1], "can't give it back as it is"),
        ("png", "text", "can't give it back as it is"),
        ("text", "\ud800", "UnicodeEncodeError"),
        ("xml", "text", "there is no codec 'xml'"),
    ],
)
def test_a_named_codec_that_does_not_fit_is_refused(folder, codec, value, told):
    with pytest.raises(ValueNotStorable, match=told):
        encode(value, folder, codec=codec)


def test_artifacts_are_references_with_a_name(folder):
    small = encode_artifact("note", {"a": 1}, folder)
    assert isinstance(small, Artifact)
    assert (small.name, small.codec) == ("note", "json")
    assert decode(small.as_json(), folder) == {"a": 1}
    assert encode_artifact("log", "text", folder).codec == "text"
    assert encode_artifact("model", b"\x00", folder).codec == "bytes"
    assert encode_artifact("nothing", None, folder).codec == "json"


def test_figures_and_images_become_png_artifacts(folder):
    for value in (figure(), *(PIL.Image.new(mode, (4, 3)) for mode in ("RGB", "CMYK", "F", "HSV"))):
        artifact = encode_artifact("picture", value, folder)
        back = decode(artifact.as_json(), folder)
        assert artifact.codec == "png"
        assert isinstance(back, PngImage)
        assert back._repr_png_().startswith(b"\x89PNG")
        assert encode_artifact("again", bytes(back), folder, codec="png").hash == artifact.hash


def test_a_figure_that_a_phase_returns_stays_a_figure(folder):
    encoded = encode(figure(), folder)
    assert encoded.value["codec"] == "pickle"
    assert type(decode(encoded.value, folder)).__name__ == "Figure"


def test_a_reference_describes_its_value(folder):
    frame = pd.DataFrame({"species": ["Adelie"] * 3, "mass_g": [3750, 3800, 3250]})
    reference = as_reference(encode(frame, folder).value)
    assert (reference.codec, reference.shape) == ("parquet", (3, 2))
    assert reference.type == f"{type(frame).__module__}.DataFrame"
    assert "Adelie" in reference.preview
    assert reference.bytes == len(folder.get(reference.hash))


def test_a_missing_object_and_an_unknown_codec_have_their_errors(folder):
    reference = encode((1, 2), folder).value
    with pytest.raises(UnknownObject):
        decode({**reference, "$object": "sha256:" + "0" * 64}, folder)
    with pytest.raises(ValueNotStorable, match="another release"):
        decode({**reference, "codec": "feather"}, folder)


class Hostile:
    def __init__(self, shown):
        self.shown = shown

    def __repr__(self):
        if isinstance(self.shown, Exception):
            raise self.shown
        return self.shown


@given(
    st.recursive(
        st.text(st.characters(exclude_categories=()))
        | st.integers()
        | st.builds(Hostile, st.text(st.characters(exclude_categories=())) | st.just(RuntimeError("no repr"))),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.integers()),
    )
)
def test_a_preview_never_fails_and_is_bounded(value):
    shown = preview(value)
    assert len(shown) <= MAX_CHARS
    shown.encode()


def test_a_frame_that_is_cut_says_so():
    shown = preview(pd.DataFrame({f"column {number}": range(3) for number in range(31)}))
    head = shown.splitlines()[0]
    assert "column 0" in head
    assert "..." in head
    assert "column 30" in head


@pytest.mark.parametrize(
    "value",
    [
        list(range(10**6)),
        dict.fromkeys(range(10**6)),
        set(range(10**6)),
        "x" * 10**6,
        np.zeros(10**6),
        pd.DataFrame(np.zeros((100, 500))),
        pd.DataFrame({"text": ["x" * 10**5] * 20}),
        pd.Series(["x" * 10**5] * 20),
        pd.MultiIndex.from_product([range(100), range(100)]),
        Hostile("y" * 10**6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_big_values_have_short_previews(value):
    assert 0 < len(preview(value)) <= MAX_CHARS


@pytest.mark.parametrize("left", [0, 100, 500_000])
def test_a_file_that_is_not_whole_is_told_and_mended_by_the_next_who_stores_it(folder, left):
    value = "y" * 400_000
    stored = encode(value, folder).value
    path = folder.local_path(stored["$object"])
    path.write_bytes(b"y" * left)
    with pytest.raises(UnknownObject, match=f"damaged: its file has {left:,} of 400,000 bytes"):
        decode(stored, folder)
    assert encode(value, folder).value == stored
    assert decode(stored, folder) == value


def test_a_frame_has_its_head_as_short_texts(folder):
    wide = {f"c{number}": range(20) for number in range(31)}
    frame = pd.DataFrame({"species": ["Adelie " * 9] * 20, "mass": [1 / 3] * 20, **wide}).rename_axis("bird")
    head = as_reference(encode(frame, folder).value).head
    assert head.columns[:3] == ("bird", "species", "mass")
    assert (len(head.columns), len(head.rows)) == (13, 8)
    assert head.rows[0][:4] == ("0", f"{('Adelie ' * 9)[:29]}…", "0.333333", "0")
    assert as_reference(encode(pd.Series([1.5]), folder).value).head is None
    assert as_reference(encode(pd.DataFrame(), folder).value).head.rows == ()


def test_a_cell_that_can_not_be_text_costs_the_head_alone():
    class Odd:
        def __str__(self):
            raise RuntimeError

    assert head(pd.DataFrame({"a": [Odd()]})) is None
