"""Feature files: the right rows and columns, and a clear message for everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from multiemo.data.features.reading import read_features
from multiemo.errors import MediaError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_openface_frames(tmp_path: Path) -> None:
    path = write(
        tmp_path / "frames.csv",
        "frame, face_id, timestamp, confidence, success, pose_Tx, AU01_r, AU01_c\n"
        "1, 0, 0.0, 0.98, 1, 9, 0.5, 1\n"
        "2, 0, 0.1, 0.97, 0, 9, 7.0, 1\n"
        "3, 0, 0.2, 0.30, 1, 9, 7.0, 1\n"
        "4, 1, 0.2, 0.90, 1, 9, 7.0, 1\n"
        "5, 0, 0.3, 0.90, 1, 9, 1.5, 0\n",
    )
    values, names = read_features(path)
    assert names == ("AU01_r", "AU01_c")
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[0.5, 1], [1.5, 0]])
    np.testing.assert_allclose(read_features(path, None, 0.05, 0.4)[0][-1], [1.5, 0])
    np.testing.assert_allclose(read_features(path, None, 0.0, 0.3)[0], [[0.5, 1]])


def test_no_face_in_any_frame_leaves_no_row(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "frame,success,AU01_r\n1,0,0\n2,0,0\n")
    assert read_features(path)[0].shape == (0, 1)


def test_py_feat_frames_without_a_face_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "frame,FaceScore,AU01,AU02,input\n0,0.99,0.1,0.2,v.mp4\n1,,,,v.mp4\n")
    values, names = read_features(path)
    assert names == ("AU01", "AU02")
    np.testing.assert_allclose(values, [[0.1, 0.2]])


def test_a_table_by_key(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "clip,a,b,note\nx,1,2,hm\ny,3,4,hm\nx,5,6,hm\n")
    values, names = read_features(path, "x")
    assert names == ("a", "b")
    np.testing.assert_allclose(values, [[1, 2], [5, 6]])
    with pytest.raises(MediaError, match=r"no row begins with 'xx'; did you mean 'x'\? it has 2: x, y"):
        read_features(path, "xx")
    with pytest.raises(MediaError, match=r"is a table of many clips.*give features a key, like 'x'"):
        read_features(path)


@pytest.mark.parametrize(("encoding", "separator"), [("utf-16", "\t"), ("gb18030", ";"), ("utf-8-sig", ",")])
def test_a_table_as_other_programs_save_it(tmp_path: Path, encoding: str, separator: str) -> None:
    rows = [("片段", "强度", "音高"), ("甲乙", "1", "2"), ("这个", "3", "4,5" if separator != "," else "4.5")]
    (tmp_path / "f.csv").write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    values, names = read_features(tmp_path / "f.csv", "这个")
    assert names == ("强度", "音高")
    np.testing.assert_allclose(values, [[3, 4.5]])


def test_a_changed_table_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "clip,a\nx,1\n")
    assert read_features(path, "x")[0][0, 0] == 1
    write(path, "clip,a\nx,250\n")
    assert read_features(path, "x")[0][0, 0] == 250


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("clip,AU01_r\nx,nan\n", "x", "key 'x', column 'AU01_r' is empty or NaN"),
        ("clip,AU01_r\nx,\n", "x", "key 'x', column 'AU01_r' is empty or NaN"),
        ("clip,AU01_r\nx,inf\n", "x", "key 'x', column 'AU01_r' is inf"),
        ("frame,AU01_r,AU02_r\n1,0,0\n2,0,nan\n", None, "row 2, column 'AU02_r' is empty or NaN"),
        ("clip,AU01_r\nx,high\n", "x", "column 'AU01_r' holds 'high', which is not a number"),
        ("clip,note\nx,high\n", "x", "no column of numbers"),
        ("clip,AU01_r\n", "x", "no rows below its header"),
        ("", None, "cannot be read as a CSV"),
        ("a,b\n1,2,3\n", None, "cannot be read as a CSV"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, key: str | None, message: str) -> None:
    path = write(tmp_path / "f.csv", text)
    with pytest.raises(MediaError, match=message) as caught:
        read_features(path, key)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays(tmp_path: Path) -> None:
    one, two = np.arange(3.0), np.arange(6).reshape(2, 3)
    np.save(tmp_path / "a.npy", one)
    np.savez(tmp_path / "a.npz", one=one, two=two)
    save_file({"two": two.astype(np.float64)}, tmp_path / "a.safetensors")
    np.testing.assert_allclose(read_features(tmp_path / "a.npy")[0], [one])
    np.testing.assert_allclose(read_features(tmp_path / "a.npz", "two")[0], two)
    values, names = read_features(tmp_path / "a.safetensors")
    np.testing.assert_allclose(values, two)
    assert values.dtype == np.float32
    assert names == ("0", "1", "2")


def test_bad_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", one=np.zeros(2), two=np.zeros(2))
    np.save(tmp_path / "nan.npy", np.array([[0.0, 1.0], [0.0, np.nan]]))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.save(tmp_path / "deep.npy", np.zeros((2, 2, 2)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:100])
    (tmp_path / "cut.npy").write_bytes((tmp_path / "nan.npy").read_bytes()[:-3])
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0")
    (tmp_path / "f.txt").touch()
    for name, key, message in [
        ("two.npz", None, "holds 2 arrays; give features a key, one of: one, two"),
        ("two.npz", "on", "holds no array 'on'; did you mean 'one'"),
        ("nan.npy", None, "row 2, column 1 is empty or NaN"),
        ("nan.npy", "k", "leave out the key 'k'"),
        ("object.npy", None, "cannot be read as a NumPy array"),
        ("words.npy", None, "not numbers"),
        ("deep.npy", None, r"shape \[2, 2, 2\]"),
        ("cut.npz", "one", "cannot be read as an .npz"),
        ("cut.npy", None, "cannot be read as a NumPy array"),
        ("cut.safetensors", None, "cannot be read as safetensors"),
        ("f.txt", None, "unknown feature format '.txt'"),
        ("gone.csv", None, "no such feature file"),
    ]:
        with pytest.raises(MediaError, match=message):
            read_features(tmp_path / name, key)


def test_real_files(real_data: Path) -> None:
    values, names = read_features(real_data / "ravdess" / "openface_au_means.csv", "01-01-01-01-01-01-01")
    assert values.shape == (1, 35)
    assert names[0] == "AU01_r"
    np.testing.assert_allclose(values[0, :5], [0.0, 0.0, 0.9305, 0.0, 0.2094])
    assert read_features(real_data / "face_media" / "OpenFace_Test.csv")[0].shape == (100, 35)
