"""What a file is, by its first bytes; its name is not believed."""

from __future__ import annotations

from fourways.core.errors import MediaError

IMAGE_FORMATS = ("JPEG", "PNG", "WebP")
VIDEO_FORMATS = ("MP4",)
_SUFFIXES = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "apng": "PNG", "webp": "WebP",
    "mp4": "MP4", "m4v": "MP4", "mov": "MP4",
}  # fmt: skip
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"version https://git-lfs", "Git LFS pointer (the file itself was never downloaded)"),
)
_TEXT_STARTS = ((b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<?xml", "XML"), (b"<svg", "SVG"), (b"{", "JSON"))


def sniff(source: bytes) -> str | None:
    """The format's name ("JPEG", "PNG", "WebP", "MP4", or one that is not read here), or None if it is not known."""
    head = source[:64]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}.get(
            head[8:12], "MP4"
        )
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((kind for start, kind in _TEXT_STARTS if text.startswith(start)), None)


def recognise(source: bytes, *, name: str, wanted: tuple[str, ...]) -> str:
    """The format of `source`, one of `wanted`. Raises MediaError, naming what it is where that is known, and where the
    name's suffix promises another format than the bytes hold."""
    kind = sniff(source)
    suffix = name.rpartition(".")[2].lower()
    promised = _SUFFIXES.get(suffix)
    expected = f"{name}: expected {_either(wanted)}, but the file"
    if kind is None:
        raise MediaError(f"{expected} is of no format known here")
    if kind not in wanted:
        named = f" (though it is named .{suffix})" if promised else ""
        raise MediaError(f"{expected} is {kind}{named}", hint="convert it")
    if promised not in (None, kind):
        raise MediaError(f"{name}: the file is {kind}, though it is named .{suffix}", hint="rename it")
    return kind


def _either(formats: tuple[str, ...]) -> str:
    return formats[0] if len(formats) == 1 else f"{', '.join(formats[:-1])} or {formats[-1]}"
