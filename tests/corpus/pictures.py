"""Writes tests/corpus/pictures: JPEGs and PNGs of kinds that camflow does not write itself but has to read.

    python tests/corpus/pictures.py --out tests/corpus/pictures        (Pillow)
"""

import argparse
import io
import pathlib

from PIL import Image

HEIGHT, WIDTH = 24, 40  # samples.rs: SIZE


def picture(mode="RGB"):
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.putdata([(x * 6, y * 10, (x * y) % 251) for y in range(HEIGHT) for x in range(WIDTH)])
    return image.convert(mode)


def mask(classes):
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putdata([classes[x * len(classes) // WIDTH] for _ in range(HEIGHT) for x in range(WIDTH)])
    image.putpalette([value for index in range(256) for value in (index, 255 - index, 128)])
    return image


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    picture().save(out / "progressive.jpg", progressive=True, quality=80)
    picture("L").save(out / "grey.jpg", quality=80)
    picture("CMYK").save(out / "cmyk.jpg", quality=90)
    # Orientation 6: a viewer turns it by a quarter; the pixels, and so the mask, are as stored.
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(out / "restart_exif.jpg", exif=exif, quality=80, restart_marker_rows=1)
    Image.new("I;16", (WIDTH, HEIGHT), 0x8040).save(out / "grey16.png")
    picture("RGBA").save(out / "alpha.png")
    mask([0, 1, 2, 3]).save(out / "four_bit_mask.png", bits=4)
    interlaced = out / "interlaced_mask.png"
    buffer = io.BytesIO()
    mask([0, 2, 255]).save(buffer, "PNG")
    interlaced.write_bytes(adam7(mask([0, 2, 255]), buffer.getvalue()))


def adam7(image, plain):
    """Pillow writes no interlaced files: the seven passes by hand, between the chunks of the plain file."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x0, y0, dx, dy in passes:
        for y in range(y0, HEIGHT, dy):
            raw += b"\0" + bytes(image.getpixel((x, y)) for x in range(x0, WIDTH, dx))
    palette = bytes(value for index in range(256) for value in (index, 255 - index, 128))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return plain[:8] + b"".join(chunk(name, content) for name, content in chunks)


if __name__ == "__main__":
    main()
