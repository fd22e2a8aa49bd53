"""Draws the logo of a challenge, a portrait and three bars, so that the package needs no binary file for it."""

import io

SIZE = 256  # pixels, square
PAPER, INK, ACCENT = (246, 248, 251), (28, 35, 48), (31, 95, 191)


def logo_png() -> bytes:
    """The logo as PNG; every run gives the same bytes."""
    from PIL import Image, ImageDraw

    scale = 4  # drawn larger and scaled down, for smooth edges
    image = Image.new("RGB", (SIZE * scale, SIZE * scale), PAPER)
    draw = ImageDraw.Draw(image)
    for box, colour in (((60, 40, 132, 112), INK), ((28, 128, 164, 328), INK)):
        draw.ellipse([side * scale for side in box], fill=colour)
    draw.rectangle([0, 216 * scale, SIZE * scale, SIZE * scale], fill=PAPER)
    for place, height in enumerate((60, 104, 152)):
        left = 180 + 22 * place
        draw.rectangle([side * scale for side in (left, 215 - height, left + 14, 215)], fill=ACCENT)
    stream = io.BytesIO()
    image.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(stream, "PNG")
    return stream.getvalue()
