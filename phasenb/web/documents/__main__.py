"""``python -m phasenb.web.documents``, in the repository's folder: write the committed documents anew."""

from __future__ import annotations

from pathlib import Path

from phasenb.web.documents.files import documents

for name, text in documents().items():
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
