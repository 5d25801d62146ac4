"""The recipe of the default model on a few drawn faces, from stores to a checkpoint that loads."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deepfake.checkpoints.loading import DEFAULT_WEIGHTS, load, load_network
from deepfake.data.fakes.hulls import dense_from_five
from recipes.default_model import finish, training
from recipes.default_model.damage import damaged
from recipes.default_model.draws import MAP, MARGIN, SHARES, Draws, Kind, changed_places, framed
from recipes.default_model.gather import gather
from recipes.default_model.join import joined, member
from recipes.default_model.split import by_group, by_looks
from recipes.default_model.store import FaceStore, StoredFace, StoreWriter
from recipes.default_model.validation import cut, made, measure

POINTS = np.array([[36, 45], [64, 45], [50, 60], [40, 75], [60, 75]], dtype=np.float32)
SIDE = 160


def drawn(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wall = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = cv2.resize(wall, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    scale = SIDE / 100
    skin = tuple(int(v) for v in rng.integers(90, 220, 3))
    cv2.ellipse(image, (SIDE // 2, int(56 * scale)), (48, 64), 0, 0, 360, skin, -1)
    for x, y in POINTS[:2] * scale:
        cv2.circle(image, (int(x), int(y)), 8, (20, 20, 20), -1)
    noisy = image + rng.normal(0, 12, image.shape)
    return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)


def add(writer: StoreWriter, seed: int, **facts: object) -> None:
    points = dense_from_five(POINTS * np.float32(SIDE / 100))
    box = np.array([30, 25, 130, 150], np.float32)
    known = {
        "label": 0,
        "group": f"p{seed}",
        "video": f"v{seed}",
        "split": "train",
        "face_px": 125.0,
    }
    writer.add(StoredFace(drawn(seed), box, points, {**known, **facts}))


@pytest.fixture
def material(tmp_path: Path) -> Path:
    photographs = StoreWriter(tmp_path / "store" / "photographs")
    for seed in range(8):
        add(photographs, seed, domain=f"d{seed % 2}", name=f"{seed}.jpg")
    photographs.close()
    pairs = StoreWriter(tmp_path / "store" / "pairs")
    add(pairs, 20, domain="DeepFaceLive", name="real/a#0")
    add(pairs, 21, domain="DeepFaceLive", name="fake/a#0", label=1, original="real/a#0")
    pairs.close()
    drawn_again = StoreWriter(tmp_path / "store" / "decoded")
    add(drawn_again, 30, domain="DFDC", name="dfdc/0")
    add(drawn_again, 31, domain="DFDC", name="dfdc/0#drawn", label=1, original="dfdc/0")
    drawn_again.close()
    dfdc = StoreWriter(tmp_path / "store" / "dfdc")
    add(dfdc, 30, domain="DFDC", name="orig")
    dfdc.close()
    (tmp_path / "dfdc").mkdir()
    cv2.imwrite(str(tmp_path / "dfdc" / "swap.jpg"), drawn(31))
    with (tmp_path / "dfdc" / "index.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows(
            [("name", "label", "original", "box_width"), ("swap", "fake", "orig", 125)]
        )
    return tmp_path


def draws(material: Path, *, damage: bool = True) -> Draws:
    found = gather(material / "store", material / "dfdc", "train")
    return Draws(found, size=64, damage=damage)


@pytest.mark.parametrize("kind", list(SHARES))
def test_every_kind_gives_a_pair_of_one_size(material: Path, kind: Kind) -> None:
    pair = draws(material).pair(np.random.default_rng(0), kind)
    assert pair.real.shape == pair.fake.shape
    assert pair.mask.shape == pair.real.shape[:2]
    assert (pair.real != pair.fake).any()
    assert 0 < pair.mask.max() <= 1


def test_a_draw_depends_on_its_number_alone(material: Path) -> None:
    first, again = draws(material)[7], draws(material)[7]
    assert first["face"].equal(again["face"])
    assert not first["face"].equal(draws(material)[8]["face"])
    assert first["face"].shape == (2, 64, 64, 3)
    assert first["map"].shape == (2, MAP, MAP)
    assert not first["map"][0].any()
    assert first["label"].tolist() == [0, 1]


def test_equal_generators_damage_alike() -> None:
    image = drawn(1)
    for seed in range(20):
        one, two = (damaged(image, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one.shape == image.shape


def test_a_square_never_leaves_its_picture() -> None:
    image = np.zeros((90, 140, 3), np.uint8)
    points = np.zeros((68, 2), np.float32)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        corner = rng.uniform(-30, 90, 2)
        box = np.array([*corner, *(corner + rng.uniform(20, 160))], np.float32)
        (left, top, side), _ = framed(image, box, points, MARGIN, rng)
        assert left >= 0
        assert top >= 0
        assert left + side <= 140
        assert top + side <= 90


def test_changed_places_are_where_they_are() -> None:
    real = drawn(1)
    fake = real.copy()
    fake[60:100, 60:100] = np.clip(fake[60:100, 60:100].astype(int) + 40, 0, 255)
    where = changed_places(real, fake)
    assert where[80, 80] == 1
    assert where[20, 20] == 0


def test_nobody_is_on_both_sides() -> None:
    groups = np.array([f"g{n % 300}" for n in range(900)], dtype=object)
    split = by_group(groups)
    held = {g for g, s in zip(groups, split, strict=True) if s == "val"}
    assert 5 <= len(held) <= 35
    assert not held & {g for g, s in zip(groups, split, strict=True) if s == "train"}


def test_who_looks_like_somebody_held_out_is_left_out() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(0, 1, (60, 128))
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    looks = np.repeat(people, 5, axis=0) + rng.normal(0, 0.01, (300, 128))
    split = np.array(by_looks(looks.astype(np.float32)), dtype=object)
    for start in range(0, 300, 5):
        assert len(set(split[start : start + 5])) == 1
    assert (split == "val").sum() >= 15


def test_the_square_of_use_shrinks_to_its_picture() -> None:
    assert cut(np.zeros((50, 80, 3), np.uint8), (0, 0, 70, 60), 0.12).shape == (50, 50, 3)


def test_measures_are_by_video_and_worst_person() -> None:
    rows = [(drawn(n), n % 2, f"v{n}", track, 100.0 + n) for n in range(6) for track in (0, 1)]
    source = made(iter(rows), 64)
    logits = np.array([3.0 if label and track else -1.0 for _, label, _, track, _ in rows])
    found = measure(source, logits)
    assert (found["reals"], found["fakes"], found["auroc"]) == (3, 3, 1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Lightning's, of short runs in a folder that exists
def test_it_trains_goes_on_and_loads(material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = material / "run"
    arguments = [
        "training",
        "--material",
        str(material / "store"),
        "--dfdc",
        str(material / "dfdc"),
    ]
    arguments += ["--out", str(run), "--image-size", "64", "--pairs", "2", "--every", "2"]
    arguments += ["--workers", "0", "--cooldown", "1"]
    for steps in (1, 3):
        monkeypatch.setattr("sys.argv", [*arguments, "--steps", str(steps)])
        training.main()
    state = torch.load(run / "last.ckpt", weights_only=True)
    assert state["global_step"] == 4
    out = run / "default.ckpt"
    monkeypatch.setattr("sys.argv", ["finish", str(run / "last.ckpt"), "--out", str(out)])
    finish.main()
    checkpoint = load(out)
    faces = np.zeros((2, 3, 224, 224), np.float32)
    assert np.isfinite(checkpoint.scorer.score(faces)).all()
    assert checkpoint.preprocess.inside == "always"


def test_a_run_that_went_on_from_a_network_is_finished_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = f"{DEFAULT_WEIGHTS}:0"
    network, former = member(like)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    out = tmp_path / "first.ckpt"
    given = ["finish", str(tmp_path / "last.ckpt"), "--image-size", "192", "--like", like]
    monkeypatch.setattr("sys.argv", [*given, "--out", str(out)])
    finish.main()
    again, settings = load_network(out)
    assert settings.preprocess == former.preprocess
    faces = torch.rand(2, 3, 192, 192)
    torch.testing.assert_close(again.eval()(faces), network.eval()(faces))


def test_a_store_gives_back_what_it_was_given(material: Path) -> None:
    store = FaceStore(material / "store" / "photographs")
    np.testing.assert_array_equal(store.image(3), drawn(3))
    assert store.name[3] == "3.jpg"
    assert store.points.shape == (8, 68, 2)


def test_networks_are_joined_and_taken_apart_again() -> None:
    parts = [member(f"{DEFAULT_WEIGHTS}:{number}") for number in (0, 1)]
    margins = [settings.preprocess.margin for _, settings in parts]
    assert margins == [0.3, 0.12]
    content = joined(parts, [1.5, 2.0], "a note")
    settings = content["deepfake"]
    arguments = settings["network"]["init_args"]
    assert settings["recipe"]["image_size"] == arguments["image_size"] == 248
    assert [round(248 * view) for view in arguments["views"]] == [248, 192]
    whole, _ = load_network(DEFAULT_WEIGHTS)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(content["state_dict"][f"network.{name}"], tensor), name
