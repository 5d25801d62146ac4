from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import VideoError
from preprocessing.types import Image
from preprocessing.video import ReadReport, evenly_spaced, index_frames, read_frames
from tests.preprocessing.video.fields import field_pictures

Maker = Callable[..., Path]
Numbered = Callable[..., list[Image]]


def number_of(image: Image) -> int:
    return round((float(image.mean()) - 10) / 4)


def test_every_frame_is_told_apart(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered
) -> None:
    path = make_video(tmp_path / "a.mp4", make_numbered(50))
    index = index_frames(path)
    assert index.info.frames == 50
    assert index.info.duration_s == pytest.approx(2.0)
    assert index.info.fps == pytest.approx(25)
    frames = list(read_frames(path, index, range(50)))
    assert [number_of(frame.image) for frame in frames] == list(range(50))
    assert [frame.index for frame in frames] == list(range(50))
    assert frames[10].time_s == pytest.approx(0.4)


@pytest.mark.parametrize("gop", [1, 5, 12, 100])
@pytest.mark.parametrize("bframes", ["0", "3"])
def test_chosen_frames_are_those_of_a_full_decode(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered, gop: int, bframes: str
) -> None:
    options = {"bf": bframes, "x264-params": "open-gop=1"}
    path = make_video(tmp_path / "a.mp4", make_numbered(60), gop=gop, options=options)
    index = index_frames(path)
    for positions in ([0], [59], [3, 4, 31], [17, 40, 58], list(range(0, 60, 7))):
        report = ReadReport()
        frames = list(read_frames(path, index, positions, report))
        assert [number_of(frame.image) for frame in frames] == positions
        assert (report.wanted, report.read) == (len(positions), len(positions))


def test_variable_frame_rate_has_true_times(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered
) -> None:
    times = [0, 40, 80, 1000, 1040, 3000, 3500]
    path = make_video(tmp_path / "a.mkv", make_numbered(7), times=times)
    index = index_frames(path)
    assert list(index.times_s) == pytest.approx([t / 1000 for t in times], abs=2e-3)
    # Three frames over 3.5 s: the nearest in time, not every second one.
    chosen = evenly_spaced(index.times_s, 3)
    assert [number_of(f.image) for f in read_frames(path, index, chosen)] == [2, 4, 5]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mov", "libx264"), (".avi", "mpeg4"), (".mkv", "libx264"), (".webm", "libvpx")],
)
def test_containers(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered, suffix: str, codec: str
) -> None:
    options = {} if codec == "libx264" else {"b": "4M"}
    path = make_video(tmp_path / f"a{suffix}", make_numbered(20), codec=codec, options=options)
    index = index_frames(path)
    frames = list(read_frames(path, index, evenly_spaced(index.times_s, 4)))
    assert [number_of(frame.image) for frame in frames] == [2, 7, 12, 17]


@given(
    steps=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=80),
    count=st.integers(1, 40),
)
def test_evenly_spaced_frames_are_different_and_in_order(steps: list[float], count: int) -> None:
    times = list(np.cumsum([0.0, *steps]))
    chosen = evenly_spaced(times, count)
    assert len(chosen) == min(count, len(times))
    assert chosen == sorted(set(chosen))
    assert all(0 <= position < len(times) for position in chosen)


def test_evenly_spaced_frames_sit_in_the_middle_of_equal_parts() -> None:
    assert evenly_spaced([k / 10 for k in range(100)], 4) == [12, 37, 62, 87]
    assert evenly_spaced([k / 10 for k in range(100)], 1) == [49]


def test_evenly_spaced_frames_of_a_span() -> None:
    times = [float(k) for k in range(10)]
    assert evenly_spaced(times, 100, start_s=3, end_s=5) == [3, 4, 5]
    assert evenly_spaced(times, 2, start_s=20) == []


def test_truncated_video_gives_what_is_there(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered
) -> None:
    whole = make_video(tmp_path / "a.mkv", make_numbered(50, width=320, height=240))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    index = index_frames(cut)
    assert 1 <= index.info.frames < 50


def test_rotation_is_applied(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    image[:, :16] = 255  # a white bar on the left
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    raw = bytearray(path.read_bytes())
    # The track's display matrix: 16.16 fixed point; turn it by a quarter, clockwise on display.
    at = raw.index(b"tkhd") + 4 + 40
    one, minus = (0x10000).to_bytes(4, "big"), (-0x10000).to_bytes(4, "big", signed=True)
    zero, unit = b"\0" * 4, (0x40000000).to_bytes(4, "big")
    raw[at : at + 36] = b"".join([zero, one, zero, minus, zero, zero, zero, zero, unit])
    path.write_bytes(raw)
    index = index_frames(path)
    (frame, *_) = read_frames(path, index, [0])
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[:10].mean() > 200  # left goes to the top
    assert frame.image[40:].mean() < 50


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"this is a text, not a video\n" * 50, "cannot be read as a video"),
        (bytes(range(256)) * 40, "cannot be read as a video"),
    ],
)
def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=words) as caught:
        index_frames(path)
    assert "\n" not in str(caught.value)


def test_missing_file_and_audio_alone(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="does not exist"):
        index_frames(tmp_path / "none.mp4")
    import wave

    sound = tmp_path / "a.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 800)
    with pytest.raises(VideoError, match=r"no video stream \(found: audio\)"):
        index_frames(sound)


def test_photograph_is_upright(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, :20, 0] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    path = tmp_path / "a.png"
    Pillow.fromarray(image).save(path, exif=exif)
    index = index_frames(path)
    assert (index.info.width, index.info.height, index.info.codec) == (40, 60, "png")
    (frame,) = read_frames(path, index, [0])
    assert frame.image[:20, :, 0].min() == 255


def test_photograph_over_the_limit_is_refused(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    path = tmp_path / "a.png"
    Pillow.new("L", (10_000, 5_000)).save(path)
    with pytest.raises(VideoError, match="10000x5000 pixels"):
        index_frames(path)


def test_a_bare_stream_without_any_start_has_no_frame_to_give(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered
) -> None:
    options = {"bf": "2", "x264-params": "scenecut=0"}
    path = make_video(tmp_path / "a.h264", make_numbered(20), gop=100, options=options)
    units = path.read_bytes().split(b"\0\0\1")
    path.write_bytes(b"\0\0\1".join(unit for unit in units if not unit or unit[0] & 31 != 5))
    report = ReadReport()
    index = index_frames(path)
    assert index.counted
    assert list(read_frames(path, index, range(len(index.times_s)), report)) == []
    assert report.corrupt == len(index.times_s) > 0


@pytest.mark.parametrize("container", ["h264", "ts", "mkv", "mp4"])
def test_two_fields_are_one_frame(tmp_path: Path, container: str) -> None:
    pictures = [np.full((64, 64), 40 + 6 * k, np.uint8) for k in range(20)]
    bare = tmp_path / "bare.h264"
    bare.write_bytes(b"".join(field_pictures(pictures)))
    path = tmp_path / f"a.{container}"
    if container == "h264":
        path = bare
    else:
        with av.open(str(bare)) as given, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(given.streams.video[0])
            for number, packet in enumerate(given.demux(video=0)):
                if packet.size:
                    packet.stream = stream
                    packet.pts = packet.dts = number
                    packet.time_base = Fraction(1, 50)
                    out.mux(packet)
    index = index_frames(path)
    assert len(index.times_s) == 20
    for positions in (range(20), [3, 11, 19], [7]):
        report = ReadReport()
        frames = list(read_frames(path, index, positions, report))
        grey = [float(frame.image.mean()) for frame in frames]
        expected = [(40 + 6 * k - 16) * 255 / 219 for k in positions]
        assert grey == pytest.approx(expected, abs=2)
        assert report.corrupt == 0
    if container != "h264":
        assert float(index.times_s[10]) == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_pictures_that_start_behind_the_sound_have_its_times(
    tmp_path: Path, container: str
) -> None:
    path = tmp_path / f"a.{container}"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("mp2", rate=48000)
        video = out.add_stream("mpeg4", rate=25)
        assert isinstance(sound, av.AudioStream)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for k in range(40):
            samples = np.zeros((1, 1152), np.int16)
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 48000, 1152 * k
            out.mux(sound.encode(heard))
        out.mux(sound.encode())
        for k in range(10):
            image = np.full((48, 64, 3), 10 + 4 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 10 + k, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode())
    index = index_frames(path)
    np.testing.assert_allclose(index.times_s, (10 + np.arange(10)) / 25, atol=0.02)
    assert index.info.fps == pytest.approx(25, rel=0.02)


def test_frames_of_vp8_that_are_never_shown_are_none(tmp_path: Path) -> None:
    shown = [np.full((48, 64, 3), 10 + 4 * k, dtype=np.uint8) for k in range(20)]
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"b": "2M", "auto-alt-ref": "0"}
        for image in shown:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for packet in stream.encode():
            out.mux(packet)
    # The last packet again, as one that only others refer to: its bit "show frame" is off.
    hidden = tmp_path / "b.mkv"
    with av.open(str(path)) as given, av.open(str(hidden), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in list(given.demux(video=0)):
            if not packet.size:
                continue
            copies: list[Any] = [packet]
            if packet.pts == 400:
                aside = av.Packet(bytes([bytes(packet)[0] & ~0x10]) + bytes(packet)[1:])
                aside.pts = aside.dts = 390
                aside.time_base = packet.time_base
                copies.insert(0, aside)
            for copy in copies:
                copy.stream = stream
                out.mux(copy)
    index, report = index_frames(hidden), ReadReport()
    frames = list(read_frames(hidden, index, range(len(index.times_s)), report))
    assert len(frames) == len(index.times_s) == 20
    assert report.corrupt == 0


def test_a_codec_that_nobody_knows_is_named_as_such(
    tmp_path: Path, make_video: Maker, make_numbered: Numbered
) -> None:
    path = make_video(tmp_path / "a.mp4", make_numbered(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zz9z").replace(b"avcC", b"zz9C"))
    with pytest.raises(VideoError, match="a codec that is not known here"):
        index_frames(path)


@pytest.mark.parametrize("suffix", [".mjpeg", ".mjpg"])
def test_photographs_in_a_row_are_a_video(
    tmp_path: Path, make_numbered: Numbered, suffix: str
) -> None:
    from PIL import Image as Pillow

    pictures = make_numbered(12)
    path = tmp_path / f"row{suffix}"
    with path.open("wb") as file:
        for picture in pictures:
            Pillow.fromarray(picture).save(file, "JPEG", quality=95)
    index = index_frames(path)
    assert len(index.times_s) == 12
    frames = list(read_frames(path, index, [0, 5, 11]))
    found = [float(frame.image.mean()) for frame in frames]
    assert found == pytest.approx([float(pictures[k].mean()) for k in (0, 5, 11)], abs=4)
