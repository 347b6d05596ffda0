"""Makes hostile media files: `python hostile.py FOLDER` writes them and `expected.json` beside them.

expected.json maps a file name to what must become of it: "ok", or a regular expression that the error's message
matches somewhere.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CASES: dict[str, tuple[Callable[[], bytes], str]] = {}


def case(name: str, expected: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def register(make: Callable[[], bytes]) -> Callable[[], bytes]:
        assert name not in CASES
        CASES[name] = (make, expected)
        return make

    return register


def picture(width: int = 160, height: int = 120) -> Image.Image:
    ramp = np.linspace(0, 255, width * height * 3).astype(np.uint8).reshape(height, width, 3)
    return Image.fromarray(ramp)


def grain() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 8, color: int = 2, data: bytes = b"", before: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return PNG_SIGNATURE + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    deflate = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [deflate.compress(block[: min(len(block), count - at)]) for at in range(0, count, len(block))]
    return b"".join([*parts, deflate.flush()])


SMALL_PIXELS = zlib.compress(bytes(9 * 13))
"""Rows of a 4x9 RGB PNG."""


def clip(*, frames: int = 12, width: int = 96, height: int = 64, flags: str = "") -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", 4
        stream.options = {"preset": "ultrafast"}
        for index in range(frames):
            pixels = np.full((height, width, 3), index * 20 % 256, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        for packet in [*track.encode(samples), *track.encode(None)]:
            container.mux(packet)
    return out.getvalue()


def patched(source: bytes, marker: bytes, offset: int, value: bytes) -> bytes:
    at = source.index(marker) + len(marker) + offset
    return source[:at] + value + source[at + len(value) :]


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


SECOND_FRAME_HEADER = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 4000, 5000) + bytes.fromhex("03012200021101031101")
FTYP = box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2avc1mp41")


# -- nothing, or hardly anything ------------------------------------------------------------------------------------
case("empty.png", "empty")(lambda: b"")
case("one_byte.jpg", "no format known")(lambda: b"\xff")
case("signature.png", "PNG file")(lambda: PNG_SIGNATURE)
case("signature.jpg", "JPEG file")(lambda: b"\xff\xd8\xff")
case("signature.webp", "WebP file")(lambda: b"RIFF\x00\x00\x00\x00WEBP")
case("noise.png", "no format known")(lambda: random.Random(1).randbytes(5000))
case("noise_after_start.jpg", "JPEG file")(lambda: b"\xff\xd8\xff\xe0" + random.Random(2).randbytes(5000))
case("ftyp_only.mp4", "damaged or truncated")(lambda: FTYP)

# -- cut short ------------------------------------------------------------------------------------------------------
case("cut.jpg", "truncated")(lambda: saved(picture(), "JPEG")[:-900])
case("cut.png", "truncated")(lambda: saved(grain(), "PNG")[:-900])
case("cut.webp", "truncated")(lambda: saved(grain(), "WEBP", lossless=True)[:-300])
case("cut_in_header.png", "PNG file")(lambda: saved(picture(), "PNG")[:20])
case("cut_in_header.webp", "gives no size")(lambda: saved(picture(), "WEBP")[:26])
case("cut_no_moov.mp4", "damaged or truncated")(lambda: clip()[:700])
case("cut_media.mp4", "damaged")(lambda: clip(flags="frag_keyframe+empty_moov")[:1000])

# -- not what the name says -----------------------------------------------------------------------------------------
case("page.png", "is HTML")(lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>")
case("entity.png", "is XML")(
    lambda: b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
)
case("pointer.jpg", "Git LFS")(lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
case("paper.jpg", "is PDF")(lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
case("archive.jpg", "is ZIP")(lambda: b"PK\x03\x04" + bytes(100))
case("pickle.png", "no format known")(lambda: pickle.dumps({"a": list(range(100))}))
case("animation.png", "is GIF")(lambda: saved(picture(), "GIF"))
case("bitmap.jpg", "is BMP")(lambda: saved(picture(), "BMP"))
case("scan.png", "is TIFF")(lambda: saved(picture(), "TIFF"))
case("codestream.jpg", "is JPEG 2000")(lambda: b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(200))
case("avif.webp", "is AVIF")(lambda: box(b"ftyp", b"avif\x00\x00\x00\x00") + bytes(100))
case("renamed.jpg", "is PNG, though it is named .jpg")(lambda: saved(picture(), "PNG"))
case("clip.png", r"is MP4 \(though it is named .png\)")(clip)
case("still.mp4", r"is PNG \(though it is named .mp4\)")(lambda: saved(picture(), "PNG"))
case("playlist.mp4", "no format known")(lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")

# -- bombs ----------------------------------------------------------------------------------------------------------
case("header_bomb.png", "more than the limit")(lambda: png(100_000, 100_000, data=SMALL_PIXELS))
case("bit_bomb.png", "more than the limit")(lambda: png(20_000, 20_000, depth=1, color=0, data=zeros(20_000 * 2501)))
case("largest_allowed.png", "ok")(lambda: png(5000, 5000, data=zeros(5000 * 15_001)))
case("deep_rgba.png", "ok")(lambda: png(4000, 5000, depth=16, color=6, data=zeros(5000 * 32_001)))
case("too_dear.webp", "to decode")(lambda: saved(Image.new("RGB", (4000, 4000)), "WEBP", method=0))
case("header_bomb.webp", "more than the limit")(
    lambda: patched(saved(picture().convert("RGBA"), "WEBP", lossless=True), b"VP8L", 5, b"\xff\xff\xff\x0f")
)
case("largest_allowed.webp", "ok")(lambda: saved(Image.new("RGBA", (3200, 3200), (9, 9, 9, 9)), "WEBP", method=0))
case("header_bomb.jpg", "more than the limit")(
    lambda: patched(saved(picture(), "JPEG"), b"\xff\xc0", 3, struct.pack(">HH", 65_000, 65_000))
)
case("largest_allowed.jpg", "ok")(lambda: saved(Image.new("RGB", (3900, 3900)), "JPEG", progressive=True))
case("second_frame_header.jpg", "JPEG file")(
    lambda: saved(picture(), "JPEG").replace(b"\xff\xda", SECOND_FRAME_HEADER + b"\xff\xda", 1)
)
case("many_scans.jpg", "passes over the picture")(
    lambda: (lambda s: s[: s.rindex(b"\xff\xda")] + s[s.rindex(b"\xff\xda") : -2] * 5000 + b"\xff\xd9")(
        saved(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    )
)
case("thin.png", "times the other")(lambda: png(20_000, 2, data=zeros(2 * 60_001)))
case("text_bomb.png", "PNG file")(
    lambda: png(4, 9, data=SMALL_PIXELS, before=chunk(b"zTXt", b"k\x00\x00" + zeros(500 << 20)))
)
case("profile_bomb.png", "PNG file")(
    lambda: png(4, 9, data=SMALL_PIXELS, before=chunk(b"iCCP", b"p\x00\x00" + zeros(500 << 20)))
)
case("many_chunks.png", "ok")(lambda: png(4, 9, data=SMALL_PIXELS, before=chunk(b"tEXt", b"k\x00v") * 100_000))
case("sample_table_bomb.mp4", "lists")(lambda: patched(clip(), b"stsz", 4, b"\x00\x00\x00\x01\x7f\xff\xff\xff"))
case("track_run_bomb.mp4", "lists")(
    lambda: clip() + box(b"moof", box(b"traf", box(b"trun", b"\x00\x00\x00\x00\x7f\xff\xff\xff"))) * 50
)
case("wide_announced.mp4", "ok")(
    lambda: patched(clip(), b"avc1\x00\x00\x00\x00\x00\x00\x00\x01", 16, struct.pack(">HH", 65_000, 65_000))
)
case("huge_frames.mp4", "more than the limit")(lambda: clip(frames=1, width=6000, height=6000))
case("deep_boxes.mp4", "damaged or truncated")(lambda: FTYP + struct.pack(">I4s", 1 << 20, b"moov") * 100_000)
case("endless_boxes.mp4", "damaged or truncated")(lambda: FTYP + struct.pack(">I4s", 8, b"free") * 100_000)

# -- malformed inside -----------------------------------------------------------------------------------------------
case("bad_depth.png", "PNG file")(lambda: png(4, 9, depth=3, data=SMALL_PIXELS))
case("bad_crc.png", "PNG file")(
    lambda: saved(picture(), "PNG").replace(b"IHDR\x00\x00\x00\xa0", b"IHDR\x00\x00\x00\xa1")
)
case("no_palette.png", "ok")(lambda: png(4, 9, color=3, data=zlib.compress(bytes(9 * 5))))
case("beyond_palette.png", "ok")(
    lambda: png(4, 9, color=3, data=zlib.compress(b"\x00\xff\xff\xff\xff" * 9), before=chunk(b"PLTE", bytes(3)))
)
case("zero_width.png", "PNG file")(lambda: png(0, 9, data=SMALL_PIXELS))
case("bad_deflate.png", "PNG file")(lambda: png(4, 9, data=b"\x78\x9c" + b"\xff" * 50))
case("endless_animation.png", "PNG file")(
    lambda: png(4, 9, data=SMALL_PIXELS, before=chunk(b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)))
)
case("frame_outside.png", "PNG file")(
    lambda: png(4, 9, data=SMALL_PIXELS, before=chunk(b"acTL", struct.pack(">II", 2, 0))
                + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 30_000, 30_000, 9, 9, 1, 1, 0, 0)))
)  # fmt: skip
case("exif_loop.jpg", "ok")(
    lambda: saved(
        picture(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + b"\xff\xff" + b"\x12\x01\x03\x00" * 900
    )
)
case("exif_orientation_99.jpg", "ok")(
    lambda: saved(picture(), "JPEG", exif=b"Exif\x00\x00II*\x00" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 99, 0))
)
case("sound_only.mp4", "no video")(sound)
case("scrambled_media.mp4", "damaged")(
    lambda: (lambda s: s[: s.index(b"mdat") + 4] + random.Random(3).randbytes(s.index(b"moov") - s.index(b"mdat") - 8)
             + s[s.index(b"moov") - 4 :])(clip())
)  # fmt: skip


def main(folder: Path) -> None:
    for name, (make, _) in CASES.items():
        (folder / name).write_bytes(make())
    (folder / "expected.json").write_text(json.dumps({name: expected for name, (_, expected) in CASES.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
