"""Reading the PDF files that the page writes."""

import re


def pdf_objects(content: bytes) -> list[bytes]:
    """Objects of a PDF file, found by its table of offsets; streams have the length they say."""
    start = int(content[content.rindex(b"startxref") + 9 :].split()[0])
    table = content[start : content.index(b"trailer")].split(b"\n")
    assert (table[0], table[2]) == (b"xref", b"0000000000 65535 f ")
    offsets = [int(row[:10]) for row in table[3:-1]]
    assert table[1] == f"0 {len(offsets) + 1}".encode()
    ends = [*offsets[1:], start]
    found = [content[begin:end] for begin, end in zip(offsets, ends, strict=True)]
    for number, one in enumerate(found, start=1):
        assert one.startswith(f"{number} 0 obj\n".encode())
        assert one.endswith(b"\nendobj\n")
        if b"stream\n" in one:
            length = re.search(rb"/Length (\d+) >>\nstream\n", one)
            assert length is not None
            assert one[length.end() + int(length[1]) :] == b"\nendstream\nendobj\n"
    return found
