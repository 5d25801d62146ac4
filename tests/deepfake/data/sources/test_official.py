"""Each data set on a generated tree with the names that its download leaves."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from deepfake.data.sources import SourceError, find_source, find_videos, summary
from preprocessing.types import Video

PROTOCOLS = Path("../shared/data/protocols")


def touch(root: Path, names: Iterable[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def read(root: Path, name: str) -> dict[str, Video]:
    assert find_source(root).name == name
    videos = find_videos(root)
    assert videos == find_videos(root, source=name)
    assert [video.key for video in videos] == sorted({video.key for video in videos})
    return {video.key: video for video in videos}


def sides(videos: Iterable[Video]) -> Counter[tuple[int | None, str | None]]:
    return Counter((video.label, video.split) for video in videos)


def ffpp_tree(root: Path, methods: Iterable[str]) -> None:
    pairs = [(f"{i:03}", f"{i + 1:03}") for i in range(0, 1000, 2)]
    for name, part in (("train", pairs[:360]), ("val", pairs[360:430]), ("test", pairs[430:])):
        (root / "splits").mkdir(parents=True, exist_ok=True)
        (root / "splits" / f"{name}.json").write_text(json.dumps(part))
    touch(root, (f"original_sequences/youtube/c23/videos/{i:03}.mp4" for i in range(1000)))
    for method in methods:
        folder = f"manipulated_sequences/{method}/c23/videos"
        touch(root, (f"{folder}/{a}_{b}.mp4" for a, b in pairs))
        touch(root, (f"{folder}/{b}_{a}.mp4" for a, b in pairs))


def test_faceforensics(tmp_path: Path) -> None:
    methods = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"]
    ffpp_tree(tmp_path, methods)
    dfd = "manipulated_sequences/DeepFakeDetection"
    touch(
        tmp_path,
        [
            "original_sequences/actors/c40/videos/01__exit_phone_room.mp4",
            f"{dfd}/c40/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
            f"{dfd}/masks/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
            "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4",
            "original_sequences/youtube/c40/videos/000.mp4",
        ],
    )
    videos = read(tmp_path, "ffpp")
    assert len(videos) == 6003
    for method in methods:
        mine = [video for video in videos.values() if video.method == method]
        assert sides(mine) == {(1, "train"): 720, (1, "val"): 140, (1, "test"): 140}
    reals = [v for v in videos.values() if v.method == "real" and v.compression == "c23"]
    assert sides(reals) == {(0, "train"): 720, (0, "val"): 140, (0, "test"): 140}
    fake = videos["FaceForensics++/Deepfakes/c23/000_001"]
    assert fake.identities == ("000", "001")
    assert fake.source == "FaceForensics++/real/c23/000"
    assert fake.source in videos
    actor = videos["FaceForensics++/DeepFakeDetection/c40/01_02__exit_phone_room__YVGY8LOK"]
    assert actor.identities == ("actor01", "actor02")
    assert actor.source == "FaceForensics++/real/c40/01__exit_phone_room"
    assert actor.source in videos
    assert actor.split is None
    # 000_001 has this file name under five manipulations, and all stay apart.
    assert sum(video.name == "000_001" for video in videos.values()) == 5


def test_faceforensics_without_lists_says_where_they_are(tmp_path: Path) -> None:
    ffpp_tree(tmp_path, ["Deepfakes"])
    shutil.rmtree(tmp_path / "splits")
    assert {video.split for video in find_videos(tmp_path)} == {None}
    (line,) = find_source(tmp_path).missing(tmp_path)
    assert "train.json" in line
    assert "ondyari/FaceForensics" in line


def test_faceforensics_refuses_an_id_on_two_lists(tmp_path: Path) -> None:
    ffpp_tree(tmp_path, [])
    (tmp_path / "splits/test.json").write_text('[["000", "999"]]')
    with pytest.raises(SourceError, match="Video 000 is in train"):
        find_videos(tmp_path)
    (tmp_path / "splits/test.json").write_text("[[")
    with pytest.raises(SourceError, match="Cannot read"):
        find_videos(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif(not PROTOCOLS.is_dir(), reason="../shared/data is absent")
def test_faceforensics_with_the_published_lists(tmp_path: Path) -> None:
    ffpp_tree(tmp_path, [])
    for name in ("train", "val", "test"):
        shutil.copy(PROTOCOLS / f"ffpp_splits/{name}.json", tmp_path / "splits")
    pairs = json.loads((tmp_path / "splits/test.json").read_text())
    touch(tmp_path, (f"manipulated_sequences/FaceSwap/c23/videos/{a}_{b}.mp4" for a, b in pairs))
    videos = find_videos(tmp_path)
    assert sides(videos) == {
        (0, "train"): 720,
        (0, "val"): 140,
        (0, "test"): 140,
        (1, "test"): 70,
    }


def test_dfdc(tmp_path: Path) -> None:
    part = tmp_path / "dfdc_train_part_7"
    touch(part, ["aaa.mp4", "bbb.mp4", "ccc.mp4"])
    listed = {
        "aaa.mp4": {"label": "REAL", "split": "train", "original": None},
        "bbb.mp4": {"label": "FAKE", "split": "train", "original": "aaa.mp4"},
        "gone.mp4": {"label": "FAKE", "split": "train", "original": "aaa.mp4"},
    }
    (part / "metadata.json").write_text(json.dumps(listed))
    touch(tmp_path, ["validation/4000.mp4", "validation/4001.mp4", "test/ddd.mp4"])
    (tmp_path / "validation/labels.csv").write_text("filename,label\n4000.mp4,1\n4001.mp4,0\n")
    (tmp_path / "test/metadata.json").write_text('{"ddd.mp4": {"is_fake": 1}}')
    videos = read(tmp_path, "dfdc")
    assert {key: (v.label, v.split) for key, v in videos.items()} == {
        "DFDC/real/aaa": (0, "train"),
        "DFDC/fake/bbb": (1, "train"),
        "DFDC/ccc": (None, "train"),
        "DFDC/fake/4000": (1, "val"),
        "DFDC/real/4001": (0, "val"),
        "DFDC/fake/ddd": (1, "test"),
    }
    assert videos["DFDC/fake/bbb"].source == "DFDC/real/aaa"
    assert videos["DFDC/fake/bbb"].identities == ("dfdc_train_part_7",)
    lacks = find_source(tmp_path).missing(tmp_path)
    assert lacks[0] == "49 of 50 training parts"
    assert lacks[1].startswith("1 videos that")
    assert len(find_videos(part)) == 3  # a part alone is read too


def test_dfdc_refuses_unknown_labels(tmp_path: Path) -> None:
    touch(tmp_path, ["test/a.mp4"])
    (tmp_path / "test/labels.csv").write_text("filename,label\na.mp4,perhaps\n")
    with pytest.raises(SourceError, match="unknown label 'perhaps'"):
        find_videos(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif(not PROTOCOLS.is_dir(), reason="../shared/data is absent")
def test_dfdc_with_published_labels(tmp_path: Path) -> None:
    for split, name in (("validation", "val"), ("test", "test")):
        text = (PROTOCOLS / f"dfdc_labels/coccomini_dfdc_{name}_labels.csv").read_text()
        touch(tmp_path / split, (line.split(",")[0] for line in text.splitlines()[1:]))
        (tmp_path / split / "labels.csv").write_text(text)
    assert sides(find_videos(tmp_path)) == {
        (0, "val"): 2000,
        (1, "val"): 2000,
        (0, "test"): 2500,
        (1, "test"): 2500,
    }


def test_dfdc_preview(tmp_path: Path) -> None:
    real = {"label": "real", "target_id": 643049, "swapped_id": None, "augmentations": []}
    fake = {"label": "fake", "target_id": 643049, "swapped_id": 1255229, "augmentations": []}
    path = "643049/643049_C/1255229_643049_C_001.mp4"
    listed = {
        "original_videos/643049/643049_C_001.mp4": real | {"set": "test"},
        f"method_A/{path}": fake | {"set": "test"},
        f"method_B/{path}": fake | {"set": "train"},
        "method_B/gone.mp4": fake | {"set": "train"},
    }
    touch(tmp_path, list(listed)[:3])
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    videos = read(tmp_path, "dfdc_preview")
    key = "DFDC-preview/real/643049/643049_C_001"
    assert sides(videos.values()) == {(0, "test"): 1, (1, "test"): 1, (1, "train"): 1}
    assert videos[key].identities == ("643049",)
    swap = videos["DFDC-preview/method_A/643049/643049_C/1255229_643049_C_001"]
    assert (swap.source, swap.identities) == (key, ("643049", "1255229"))
    assert find_source(tmp_path).missing(tmp_path) == ["1 videos that dataset.json lists"]
    (tmp_path / "dataset.json").write_text('{"method_A/x.mp4": {"label": "forged"}}')
    with pytest.raises(SourceError, match="no label real or fake"):
        find_videos(tmp_path)


@pytest.mark.parametrize(("name", "version"), [("Celeb-DF", 1), ("Celeb-DF-v2", 2)])
def test_celeb_df(tmp_path: Path, name: str, version: int) -> None:
    root = tmp_path / name
    reals = [f"Celeb-real/id{i}_0000.mp4" for i in range(60)]
    tubes = [f"YouTube-real/{i:05}.mp4" for i in range(50)]
    fakes = [f"Celeb-synthesis/id{i}_id{i + 1}_0000.mp4" for i in range(59)]
    touch(root, reals + tubes + fakes)
    tested = [f"1 {path}" for path in reals[:20] + tubes[:18]] + [f"0 {p}" for p in fakes[:62]]
    tested += [f"0 Celeb-synthesis/gone{i}.mp4" for i in range(100 - len(tested))]
    (root / "List_of_testing_videos.txt").write_text("\n".join(tested))
    videos = read(root, f"celeb_df_v{version}")
    assert sides(videos.values()) == {(0, "test"): 38, (0, "train"): 72, (1, "test"): 59}
    fake = videos[f"Celeb-DF-v{version}/Celeb-synthesis/id3_id4_0000"]
    assert fake.identities == ("id3", "id4")
    assert fake.source == f"Celeb-DF-v{version}/real/id3_0000"
    assert fake.source in videos
    assert videos[f"Celeb-DF-v{version}/real/00003"].identities == ()


def test_celeb_df_refuses_a_list_with_labels_turned_round(tmp_path: Path) -> None:
    touch(tmp_path, ["Celeb-real/id0_0000.mp4"])
    (tmp_path / "List_of_testing_videos.txt").write_text("0 Celeb-real/id0_0000.mp4\n")
    with pytest.raises(SourceError, match="is not '1 real'"):
        find_videos(tmp_path)


def test_deeper_forensics(tmp_path: Path) -> None:
    touch(
        tmp_path,
        [
            "manipulated_videos/end_to_end/000_M101.mp4",
            "manipulated_videos/end_to_end_level_3/000_M101.mp4",
            "manipulated_videos/end_to_end/001_W004.mp4",
            "manipulated_videos/end_to_end/002_W004.mp4",
            "source_videos/M101/BlendShape/camera_down/M101_BlendShape_camera_down.mp4",
        ],
    )
    (tmp_path / "lists/splits").mkdir(parents=True)
    (tmp_path / "lists/splits/train.txt").write_text("000_M101.mp4\n")
    (tmp_path / "lists/splits/test.txt").write_text("001_W004.mp4\n")
    videos = read(tmp_path, "deeper_forensics")
    assert sides(videos.values()) == {(1, "train"): 2, (1, "test"): 1, (1, None): 1}
    fake = videos["DeeperForensics-1.0/end_to_end_level_3/000_M101"]
    assert fake.identities == ("000", "M101")
    assert fake.source == "FaceForensics++/real/c23/000"
    assert find_source(tmp_path).missing(tmp_path)[0] == "lists/splits/val.txt"


@pytest.mark.parametrize("inner", ["", "videos/"])
def test_ffiw(tmp_path: Path, inner: str) -> None:
    for side in ("source", "target"):
        for split, count in (("train", 8), ("val", 2), ("test", 3)):
            touch(tmp_path, (f"{side}/{split}/{inner}{i:06}.mp4" for i in range(count)))
    videos = read(tmp_path, "ffiw")
    expected = {(label, split): n for label in (0, 1) for split, n in zip(SPLITS, N, strict=True)}
    assert sides(videos.values()) == expected
    assert videos["FFIW-10K/fake/val/000001"].source == "FFIW-10K/real/val/000001"


SPLITS, N = ("train", "val", "test"), (8, 2, 3)


def test_wild_deepfake(tmp_path: Path) -> None:
    touch(
        tmp_path, ["real_train/1/real/5/0.png", "fake_train/1.tar.gz", "real_test/2/real/9/0.png"]
    )
    with pytest.raises(SourceError, match=r"published as images.*deepfake\.data pack"):
        find_videos(tmp_path)
    touch(
        tmp_path, ["real_train/1/real/5.mkv", "fake_train/1/fake/5.mkv", "real_test/2/real/9.mkv"]
    )
    videos = read(tmp_path, "wild_deepfake")
    assert {key: (v.label, v.split) for key, v in videos.items()} == {
        "WildDeepfake/real/train/1/real/5": (0, "train"),
        "WildDeepfake/fake/train/1/fake/5": (1, "train"),
        "WildDeepfake/real/test/2/real/9": (0, "test"),
    }
    assert find_source(tmp_path).missing(tmp_path) == ["fake_test/"]


def test_fake_av_celeb(tmp_path: Path) -> None:
    person = "African/men/id00076"
    touch(
        tmp_path,
        [
            f"RealVideo-RealAudio/{person}/00109.mp4",
            f"RealVideo-FakeAudio/{person}/00109_fake.mp4",
            f"FakeVideo-RealAudio/{person}/00109_2_id00701_wavtolip.mp4",
            f"FakeVideo-FakeAudio/{person}/00109_2_id00701_wavtolip.mp4",
        ],
    )
    place = f"FakeAVCeleb/FakeVideo-RealAudio/{person}"
    name = "00109_2_id00701_wavtolip.mp4"
    (tmp_path / "meta_data.csv").write_text(
        "source,target1,target2,method,category,type,race,gender,path,\n"
        f"id00076,id00701,-,wav2lip,C,FakeVideo-RealAudio,African,men,{name},{place}\n"
        f"id00076,id00999,-,faceswap-wav2lip,C,FakeVideo-RealAudio,African,men,{name},{place}\n"
    )
    videos = read(tmp_path, "fake_av_celeb")
    assert Counter(video.label for video in videos.values()) == {0: 2, 1: 2}
    real = f"FakeAVCeleb/real/{person}/00109"
    fake = videos[f"FakeAVCeleb/FakeVideo-RealAudio-wav2lip/{person}/00109_2_id00701_wavtolip"]
    assert fake.identities == ("id00076", "id00701")
    assert fake.source == real
    voice = videos[f"FakeAVCeleb/RealVideo-FakeAudio/{person}/00109_fake"]
    assert (voice.label, voice.source) == (0, real)
    (tmp_path / "meta_data.csv").unlink()
    assert len(find_videos(tmp_path)) == 4
    assert "meta_data.csv" in find_source(tmp_path).missing(tmp_path)[0]


def test_kodf(tmp_path: Path) -> None:
    touch(
        tmp_path,
        [
            "original_videos/03/03_001.mp4",
            "original_videos/08/08_001.mp4",
            "synthesized_videos/dfl/03/03_08_001.mp4",
            "synthesized_videos/fsgan/03/03_08_001.mp4",
        ],
    )
    videos = read(tmp_path, "kodf")
    assert Counter(video.label for video in videos.values()) == {0: 2, 1: 2}
    assert videos["KoDF/dfl/03/03_08_001"].identities == ("03", "08")
    assert videos["KoDF/real/03/03_001"].identities == ("03",)


def test_df40(tmp_path: Path) -> None:
    root = tmp_path / "ff" / "DF40"
    touch(
        root,
        [
            "train/simswap/ff/000_003.mp4",
            "test/simswap/cdf/id0_id1_0000.mp4",
            "test/simswap/ff/000_003.mp4",
            "test/fomm/ff/000_003.mp4",
            "test/heygen/fake/x.mp4",
            "test/heygen/real/x.mp4",
            "test/VQGAN/ff/1.png",
        ],
    )
    videos = read(root, "df40")
    assert sides(videos.values()) == {(1, "train"): 1, (1, "test"): 4, (0, "test"): 1}
    assert videos["DF40/simswap/train/ff/000_003"].source == "FaceForensics++/real/c23/000"
    assert videos["DF40/simswap/train/ff/000_003"].identities == ("ff-000", "ff-003")
    assert videos["DF40/simswap/test/cdf/id0_id1_0000"].source == "Celeb-DF-v2/real/id0_0000"
    assert videos["DF40/heygen/test/fake/x"].identities == ()
    assert videos["DF40/real/heygen/test/real/x"].label == 0


def test_summary_puts_counts_beside_official_ones(tmp_path: Path) -> None:
    ffpp_tree(tmp_path, ["Deepfakes"])
    (tmp_path / "splits/val.json").unlink()
    (tmp_path / "original_sequences/youtube/c23/videos/000.mp4").unlink()
    text = summary(find_videos(tmp_path), [tmp_path])
    lines = {tuple(line.split()[:2]): line.split() for line in text.splitlines() if line.split()}
    assert lines["real", "real"][2:] == ["719/720", "0/140", "140/140", "140/363"]
    assert lines["fake", "Deepfakes"][2:] == ["720/720", "0/140", "140/140", "140"]
    assert lines["fake", "NeuralTextures"][2:] == ["0/720", "0/140", "0/140", "0"]
    assert "Missing: val.json of" in text


def test_summary_of_a_table_shows_no_official_numbers(tmp_path: Path) -> None:
    touch(tmp_path, ["a.mp4", "b.mp4"])
    (tmp_path / "labels.csv").write_text("path,label,dataset\na.mp4,real,DFDC\nb.mp4,fake,Own\n")
    text = summary(find_videos(tmp_path), [tmp_path])
    assert "DFDC: 1" in text
    assert "19154" not in text
    assert summary(find_videos(tmp_path)) in text


def test_summary_of_a_plain_folder(tmp_path: Path) -> None:
    touch(tmp_path, ["real/a.mp4", "x.mp4"])
    text = summary(find_videos(tmp_path), [tmp_path])
    assert text.startswith("2 videos")
    assert "Missing: no videos in fake/" in text


@pytest.mark.parametrize("written", ["Celeb-real/id0_0000.mp4", "celeb-real\\ID0_0000.avi"])
def test_celeb_df_written_again_keeps_its_test_side(tmp_path: Path, written: str) -> None:
    root = tmp_path / "Celeb-DF-v2"
    touch(root, ["Celeb-real/id0_0000.mkv", "Celeb-real/videos/id1_0000.webm"])
    (root / "List_of_testing_videos.txt").write_text(f"1 {written}\n")
    assert {v.name: v.split for v in find_videos(root)} == {"id0_0000": "test", "id1_0000": "train"}


def test_lists_that_fit_less_than_they_should_stop(tmp_path: Path) -> None:
    root = tmp_path / "Celeb-DF-v2"
    touch(root, [f"Celeb-synthesis/swap{n}.mp4" for n in range(400)])
    (root / "List_of_testing_videos.txt").write_text(
        "".join(f"0 Celeb-synthesis/swap{399 - n if n < 3 else n + 400}.mp4\n" for n in range(340))
    )
    with pytest.raises(SourceError, match="names 3 of the 400 videos"):
        find_videos(root)
    ffpp = tmp_path / "ffpp"
    touch(ffpp, ["original_sequences/youtube/c23/videos/clip.mp4"])
    (ffpp / "splits").mkdir()
    (ffpp / "splits" / "train.json").write_text('[["000", "003"]]')
    with pytest.raises(SourceError, match="names 0 of the 1 videos"):
        find_videos(ffpp)


@pytest.mark.parametrize(
    ("names", "source"),
    [
        (["Celeb-real/list.txt"], "celeb_df_v2"),
        (["synthesized_videos/a.txt"], "kodf"),
        (["original_sequences/youtube/c23/videos/a.txt"], "ffpp"),
        (["manipulated_videos/end_to_end/a.txt"], "deeper_forensics"),
    ],
)
def test_layouts_without_videos_are_refused(tmp_path: Path, names: list[str], source: str) -> None:
    touch(tmp_path, names)
    with pytest.raises(SourceError, match=rf"{source} but holds no video.*Found: 1 \.txt"):
        find_videos(tmp_path)


@pytest.mark.parametrize("content", ['["aa.mp4"]', '"text"', "3", '{"aa.mp4": "FAKE"}', "{"])
def test_dfdc_metadata_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    touch(tmp_path, ["dfdc_train_part_0/aa.mp4"])
    (tmp_path / "dfdc_train_part_0" / "metadata.json").write_text(content)
    with pytest.raises(SourceError, match=r"metadata\.json"):
        find_videos(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("comma", [",", ";"])
def test_dfdc_labels_in_any_encoding_and_without_suffix(
    tmp_path: Path, encoding: str, comma: str
) -> None:
    touch(tmp_path, ["test/mü.mp4", "test/bb.mp4"])
    text = "filename,label\nmü,1\nbb.mp4,0\n".replace(",", comma)
    (tmp_path / "test" / "labels.csv").write_bytes(text.encode(encoding))
    assert [video.label for video in find_videos(tmp_path)] == [1, 0]
    (tmp_path / "test" / "labels.csv").write_bytes(b"filename,label\nother,1\n")
    with pytest.raises(SourceError, match="names 0 of the 2 videos"):
        find_videos(tmp_path)
