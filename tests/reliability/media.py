"""Small videos and photographs of every kind, made here: the well-formed part of the corpus."""

import io
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image as Pillow

from preprocessing.types import Image

SAMPLES = Path(__file__).parents[2] / "samples"
FRAMES, SIZE = 24, 192


@cache
def faces() -> tuple[Image, ...]:
    """Frames (192, 192, 3) of a sample clip with a face."""
    with av.open(str(SAMPLES / "real.mp4")) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    step = len(images) // FRAMES
    small = [cv2.resize(i, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for i in images[::step]]
    return tuple(np.asarray(image, dtype=np.uint8) for image in small[:FRAMES])


def resized(width: int, height: int, count: int = 4) -> list[Image]:
    """The same frames at another size."""
    return [np.asarray(cv2.resize(i, (width, height)), dtype=np.uint8) for i in faces()[:count]]


def video(
    container_format: str,
    codec: str,
    *,
    pixels: str = "yuv420p",
    images: Sequence[Image] | None = None,
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    streams: int = 1,
    sound: bool = False,
    setup: Callable[["av.VideoStream"], None] | None = None,
) -> bytes:
    """Return an encoded video; `times` are presentation times in 1/1000 s."""
    images = list(faces() if images is None else images)
    with (
        tempfile.NamedTemporaryFile() as file,  # some muxers go back and need a name
        av.open(file.name, "w", format=container_format, options=muxer or {}) as out,
    ):
        tracks = []
        for _ in range(streams):
            stream = out.add_stream(codec, rate=Fraction(25))
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = images[0].shape[1], images[0].shape[0]
            stream.pix_fmt, stream.gop_size = pixels, 12
            stream.options = {"threads": "1", **(options or {})}
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if setup is not None:
                setup(stream)
            tracks.append(stream)
        audio = out.add_stream("aac", rate=8000) if sound else None
        for number, image in enumerate(images):
            for stream in tracks:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
                if times is not None:
                    frame.time_base, frame.pts = Fraction(1, 1000), times[number]
                else:
                    frame.pts = number
                    frame.time_base = Fraction(1, 25)
                out.mux(stream.encode(frame))
        for stream in tracks:
            out.mux(stream.encode())
        if audio is not None:
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            wave.rate, wave.pts = 8000, 0
            out.mux(audio.encode(wave))
            out.mux(audio.encode())
        out.close()
        return Path(file.name).read_bytes()


def photograph(file_format: str, *, images: int = 1, mode: str = "RGB", **options: object) -> bytes:
    """Return an encoded photograph, or an animation of several images."""
    pictures = [Pillow.fromarray(image).convert(mode) for image in faces()[:images]]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if images > 1 else {}
    pictures[0].save(file, format=file_format, **more, **options)
    return file.getvalue()


def sound() -> bytes:
    """Return an MP4 with sound and no picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000)
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        wave.rate, wave.pts = 8000, 0
        out.mux(stream.encode(wave))
        out.mux(stream.encode())
    return file.getvalue()


FAST = {"preset": "ultrafast", "crf": "24"}
HDR = {"x264-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", **FAST}

# What people have; mutations start from these.
COMMON: dict[str, Callable[[], bytes]] = {
    "sample.mp4": lambda: (SAMPLES / "real.mp4").read_bytes(),
    "h264.mp4": lambda: video("mp4", "libx264", options=FAST),
    "front.mp4": lambda: video(
        "mp4", "libx264", options={"bf": "2", "crf": "24"}, muxer={"movflags": "faststart"}
    ),
    "fragments.mp4": lambda: video(
        "mp4", "libx264", options=FAST, muxer={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mpeg4.mov": lambda: video("mov", "mpeg4"),
    "h264.mkv": lambda: video("matroska", "libx264", options=FAST),
    "vp8.webm": lambda: video("webm", "libvpx", options={"cpu-used": "8", "deadline": "realtime"}),
    "vp9.webm": lambda: video(
        "webm", "libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}
    ),
    "mpeg4.avi": lambda: video("avi", "mpeg4"),
    "mjpeg.avi": lambda: video("avi", "mjpeg", pixels="yuvj420p"),
    "flv1.flv": lambda: video("flv", "flv"),
    "mpeg2.mpg": lambda: video("mpeg", "mpeg2video"),
    "wmv2.wmv": lambda: video("asf", "wmv2"),
    "h264.m4v": lambda: video("mpegts", "libx264", options=FAST),
    "animated.gif": lambda: photograph("GIF", images=12),
    "photograph.png": lambda: photograph("PNG"),
    "photograph.jpg": lambda: photograph("JPEG"),
    "photograph.webp": lambda: photograph("WEBP"),
    "photograph.bmp": lambda: photograph("BMP"),
    "photograph.tiff": lambda: photograph("TIFF", compression="tiff_lzw"),
}

JUMPS = [0, 40, 80, 90_000, 90_040, 200_000, 200_001, 9_000_000]

# Well-formed and unusual.
ODD: dict[str, Callable[[], bytes]] = {
    "yuv444.mp4": lambda: video("mp4", "libx264", pixels="yuv444p", options=FAST),
    "yuv444p10.mkv": lambda: video("matroska", "libx264", pixels="yuv444p10le", options=FAST),
    "yuv422p10.mp4": lambda: video("mp4", "libx264", pixels="yuv422p10le", options=FAST),
    "gray.mkv": lambda: video("matroska", "libx264", pixels="gray", options=FAST),
    "gray10.mkv": lambda: video("matroska", "libx264", pixels="gray10le", options=FAST),
    "gray16.mkv": lambda: video("matroska", "ffv1", pixels="gray16le"),
    "rgb48.mkv": lambda: video("matroska", "ffv1", pixels="gbrp16le"),
    "float.mkv": lambda: video("matroska", "ffv1", pixels="yuva420p16le"),
    "alpha.webm": lambda: video(
        "webm", "libvpx", pixels="yuva420p", options={"cpu-used": "8", "auto-alt-ref": "0"}
    ),
    "alpha.mov": lambda: video("mov", "png", pixels="rgba"),
    "palette.mov": lambda: video("mov", "qtrle", pixels="rgb24"),
    "prores.mov": lambda: video("mov", "prores_ks", pixels="yuv422p10le"),
    "raw.avi": lambda: video("avi", "rawvideo", pixels="bgr24", images=faces()[:6]),
    "huffyuv.avi": lambda: video("avi", "huffyuv", pixels="yuv422p"),
    "hdr.mp4": lambda: video("mp4", "libx264", pixels="yuv420p10le", options=HDR),
    "interlaced.mkv": lambda: video(
        "matroska", "libx264", options={"x264-params": "tff=1", **FAST}
    ),
    "interlaced.mpg": lambda: video("mpeg", "mpeg2video", options={"flags": "+ilme+ildct"}),
    "bframes.avi": lambda: video("avi", "libx264", options={"bf": "3", "crf": "24"}),
    "open_gop.mkv": lambda: video(
        "matroska", "libx264", options={"x264-params": "open-gop=1", "bf": "3", "crf": "24"}
    ),
    "two_streams.mkv": lambda: video("matroska", "libx264", options=FAST, streams=2),
    "two_streams.mp4": lambda: video("mp4", "mpeg4", streams=2),
    "with_sound.mp4": lambda: video("mp4", "libx264", options=FAST, sound=True),
    "sound_only.mp4": sound,
    "one_frame.mp4": lambda: video("mp4", "libx264", options=FAST, images=faces()[:1]),
    "two_frames.mkv": lambda: video("matroska", "libx264", options=FAST, images=faces()[:2]),
    "tiny.mkv": lambda: video("matroska", "ffv1", images=resized(1, 1)),
    "tiny.mp4": lambda: video("mp4", "libx264", options=FAST, images=resized(2, 2)),
    "flat.mkv": lambda: video("matroska", "ffv1", images=resized(640, 1)),
    "wide.mkv": lambda: video("matroska", "ffv1", images=resized(16384, 16, 2)),
    "tall.mp4": lambda: video("mp4", "mpeg4", images=resized(16, 4096, 2)),
    "16k.mkv": lambda: video(
        "matroska", "mjpeg", pixels="yuvj420p", images=[np.zeros((4096, 16384, 3), np.uint8)]
    ),
    "odd_size.mkv": lambda: video("matroska", "ffv1", images=resized(101, 77)),
    "jumping.mkv": lambda: video(
        "matroska", "libx264", images=faces()[:8], times=JUMPS, options=FAST
    ),
    "negative.mkv": lambda: video(
        "matroska", "mpeg4", images=faces()[:8], times=[40 * k - 5000 for k in range(8)]
    ),
    "late.mp4": lambda: video(
        "mp4", "mpeg4", images=faces()[:8], times=[40 * k + 10_000_000 for k in range(8)]
    ),
    "years.mkv": lambda: video(
        "matroska", "libx264", images=faces()[:3], times=[0, 40, 2_000_000_000], options=FAST
    ),
    "resolution_change.m4v": lambda: (
        video("mpegts", "libx264", options=FAST)
        + video("mpegts", "libx264", options=FAST, images=resized(320, 240, 12))
    ),
    "resolution_change.mpg": lambda: (
        video("mpeg2video", "mpeg2video")
        + video("mpeg2video", "mpeg2video", images=resized(320, 240, 12))
    ),
    "resolution_change.h264": lambda: (
        video("h264", "libx264", options=FAST)
        + video("h264", "libx264", options=FAST, images=resized(4096, 2160, 3))
    ),
    "animated.webp": lambda: photograph("WEBP", images=6),
    "alpha.png": lambda: photograph("PNG", mode="RGBA"),
    "palette.png": lambda: photograph("PNG", mode="P"),
    "bit.png": lambda: photograph("PNG", mode="1"),
    "gray.png": lambda: photograph("PNG", mode="I;16"),
    "float.tiff": lambda: photograph("TIFF", mode="F"),
    "cmyk.jpg": lambda: photograph("JPEG", mode="CMYK"),
    "pages.tiff": lambda: photograph("TIFF", images=5),
    "one_frame.gif": lambda: photograph("GIF"),
}
