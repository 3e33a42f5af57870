"""PDF files that say what a test wants, written by hand: a page for each text."""


def pdf(*texts: str, title: str = "", outline: str = "") -> bytes:
    """A PDF with one line of text to a page; `outline` is the heading of its first page."""
    count = len(texts)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    root = f"<< /Type /Catalog /Pages 2 0 R {'/Outlines 900 0 R' if outline else ''} >>"
    objects: dict[int, bytes] = {
        1: root.encode(),
        2: f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    for number, text in enumerate(texts):
        lines = b" T* ".join(f"({line}) Tj".encode("latin-1") for line in text.split("\n"))
        stream = b"BT /F1 12 Tf 14 TL 40 700 Td " + lines + b" ET"
        objects[4 + 2 * number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        ).encode()
        objects[5 + 2 * number] = f"<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream"
    if outline:
        objects[900] = b"<< /Type /Outlines /First 901 0 R /Last 901 0 R /Count 1 >>"
        objects[901] = f"<< /Title ({outline}) /Parent 900 0 R /Dest [4 0 R /Fit] >>".encode()
    if title:
        objects[902] = f"<< /Title ({title}) /ModDate (D:20250102030405Z) >>".encode()
    return _file(objects, info=902 if title else 0)


def _file(objects: dict[int, bytes], info: int) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = {}
    for number, content in sorted(objects.items()):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {max(objects) + 1}\n".encode()
    for number in range(max(objects) + 1):
        out += f"{places[number]:010} 00000 n \n".encode() if number in places else b"0000000000 65535 f \n"
    about = f"/Info {info} 0 R" if info else ""
    out += f"trailer\n<< /Size {max(objects) + 1} /Root 1 0 R {about} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)
