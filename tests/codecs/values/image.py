"""A Pillow image."""

from PIL import Image


def make():
    image = Image.new("RGB", (5, 3), (1, 2, 3))
    image.putpixel((4, 2), (200, 100, 50))
    return image


def others():
    palette = Image.new("P", (2, 2))
    palette.putpalette([0, 0, 0, 255, 1, 2])
    palette.putpixel((1, 1), 1)
    return {"grey": Image.new("L", (2, 2), 7), "clear": Image.new("RGBA", (2, 2), (1, 2, 3, 4)), "a palette": palette}


def same(made, got):
    assert (got.mode, got.size) == (made.mode, made.size)
    assert got.convert("RGBA").tobytes() == made.convert("RGBA").tobytes()


def refused():
    return {"a mode that PNG has not": Image.new("CMYK", (2, 2)), "several frames": _animation()}


def _animation():
    from io import BytesIO

    file = BytesIO()
    frames = [Image.new("L", (2, 2), grey) for grey in (0, 255)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return Image.open(file)
