"""Encryption at rest: sealed bytes, keys from the environment, files and caches that hold nothing readable."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import lmdb
import pytest
import torch

from multiemo import encryption
from multiemo.data.cache.entries import HEADER
from multiemo.data.cache.removal import known_contents, remove_origins
from multiemo.data.cache.tensors import TensorCache, text_key
from multiemo.encryption import SecretKey, current_key, is_sealed, read_sealed, write_sealed
from multiemo.errors import CheckpointError, ConfigError
from multiemo.training.checkpoint import load_tensors, save_tensors

SECRET = bytes(range(32))
#: A float32 whose bytes stand out: 1.0 repeated would be found by chance.
MARK = torch.full((64,), 1234.5678)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in (encryption.KEY, encryption.KEY_FILE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def use_key(monkeypatch):
    def use(secret: bytes | None = SECRET) -> None:
        if secret is None:
            monkeypatch.delenv(encryption.KEY, raising=False)
        else:
            monkeypatch.setenv(encryption.KEY, base64.b64encode(secret).decode())

    return use


def bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 32, 40])
def test_chunks_come_back_and_none_can_be_changed_moved_or_cut_off(size, monkeypatch):
    monkeypatch.setattr(encryption, "_CHUNK_BYTES", 16)
    key, content = SecretKey(SECRET), bytes(i * 7 % 256 for i in range(size))
    sealed = key.seal(content, "a")
    assert key.unseal(sealed, "a", "x") == content
    assert key.seal(content, "a") != sealed  # a new salt each time
    head, step = 40, 32
    chunks = [sealed[i : i + step] for i in range(head, len(sealed), step)]
    damaged = [sealed[:-1], sealed + b"\0", sealed[:head], sealed[:head] + b"".join(chunks[:-1])]
    damaged += [sealed[:head] + b"".join([*chunks, chunks[-1]])]
    damaged += [sealed[:head] + b"".join([chunks[1], chunks[0], *chunks[2:]])] if len(chunks) > 2 else []
    for i in range(24, len(sealed)):  # every bit of salt and content counts; so the last of each byte does
        damaged.append(sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :])
    for each in damaged:
        with pytest.raises(CheckpointError, match="x: was changed, cut off or renamed"):
            key.unseal(each, "a", "x")
    with pytest.raises(CheckpointError, match="renamed"):
        key.unseal(sealed, "b", "x")
    with pytest.raises(CheckpointError, match="x: is encrypted with another key"):
        SecretKey(bytes(32)).unseal(sealed, "a", "x")


def test_the_cipher_is_that_of_the_standards():
    """Decrypted with the primitives alone, as another program would."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    sealed = SecretKey(SECRET).seal(b"words", "config.json")
    salt, body = sealed[24:40], sealed[40:]
    own = HKDF(SHA256(), 32, salt, b"multiemo:content:config.json").derive(SECRET)
    assert AESGCM(own).decrypt(bytes(11) + b"\x01", body, None) == b"words"


def test_keys_in_either_notation_and_place(tmp_path, monkeypatch):
    file = tmp_path / "key"
    for text in (base64.b64encode(SECRET).decode() + "\n", base64.urlsafe_b64encode(SECRET).decode(), SECRET.hex()):
        file.write_text(text)
        monkeypatch.setenv(encryption.KEY_FILE, str(file))
        assert current_key() == SecretKey(SECRET)
    assert SECRET.hex() not in repr(current_key())
    monkeypatch.setenv(encryption.KEY, SECRET.hex())
    with pytest.raises(ConfigError, match="are both set"):
        current_key()
    monkeypatch.delenv(encryption.KEY_FILE)
    for bad in ("short", SECRET.hex()[:-2], "x" * 44):
        monkeypatch.setenv(encryption.KEY, bad)
        with pytest.raises(ConfigError, match=r"MULTIEMO_KEY: is not 32 bytes") as caught:
            current_key()
        assert bad not in str(caught.value)  # a mistyped key is still nearly a key
    monkeypatch.delenv(encryption.KEY)
    monkeypatch.setenv(encryption.KEY_FILE, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"MULTIEMO_KEY_FILE: .*none: cannot be read \(No such file"):
        current_key()


def test_files_are_plain_without_a_key_and_readable_only_with_it(tmp_path, use_key):
    plain, secret = tmp_path / "plain.json", tmp_path / "secret.json"
    write_sealed(plain, "{}")
    use_key()
    write_sealed(secret, "Kids are talking")
    assert read_sealed(plain) == b"{}"
    assert read_sealed(secret) == b"Kids are talking"
    assert b"Kids" not in secret.read_bytes()
    use_key(None)
    assert plain.read_bytes() == b"{}"
    with pytest.raises(CheckpointError, match=r"secret\.json: is encrypted; set MULTIEMO_KEY_FILE"):
        read_sealed(secret)
    use_key(bytes(32))
    with pytest.raises(CheckpointError, match=r"secret\.json: is encrypted with another key"):
        read_sealed(secret)


def test_tensors_and_facts_are_encrypted_unless_meant_for_others(tmp_path, use_key):
    use_key()
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"weight": MARK}, {"step": 3})
    tensors, facts = load_tensors(path)
    assert torch.equal(tensors["weight"], MARK)
    assert facts == {"step": 3}
    assert b"weight" not in path.read_bytes()
    assert MARK.numpy().tobytes()[:8] not in path.read_bytes()
    path.rename(tmp_path / "y.safetensors")
    with pytest.raises(CheckpointError, match="renamed"):
        load_tensors(tmp_path / "y.safetensors")
    save_tensors(path, {"weight": MARK}, {}, plain=True)
    assert not is_sealed(path.read_bytes())


def filled(folder: Path) -> tuple[TensorCache, bytes, bytes]:
    file = folder.parent / "voice.wav"
    file.write_bytes(b"some sound")
    cache = TensorCache(folder, 1 << 20)
    one, other = (text_key(text, (), {"kind": "text"}) for text in ("one", "other"))
    cache.put_many([(one, MARK), (other, MARK + 1)])
    cache.content_digest(file)
    return cache, one, other


def entry_of(folder: Path, key: bytes, change=None) -> bytes:
    """The stored bytes of an entry, replaced by ``change`` of them."""
    with lmdb.open(str(folder), max_dbs=2) as environment:
        table = environment.open_db(b"entries")
        with environment.begin(write=True, db=table) as transaction:
            stored = bytes(transaction.get(key))
            if change is not None:
                transaction.put(key, change(stored))
            return stored


def test_a_cache_holds_no_readable_tensor_and_reads_only_with_its_key(tmp_path, use_key):
    use_key()
    cache, one, other = filled(tmp_path / "cache")
    digest = cache.content_digest(tmp_path / "voice.wav")
    assert torch.equal(cache.get(one), MARK)
    cache.close()
    below = bytes_below(tmp_path / "cache")
    for readable in (MARK.numpy().tobytes()[:8], (MARK + 1).numpy().tobytes()[:8], b"dtype", digest.encode()):
        assert readable not in below
    for secret, words in ((None, "the cache is encrypted; set MULTIEMO_KEY_FILE"), (bytes(32), "with another key")):
        use_key(secret)
        with pytest.raises(CheckpointError, match=words):
            TensorCache(tmp_path / "cache", 1 << 20).get(one)
        with pytest.raises(CheckpointError, match=words):
            TensorCache(tmp_path / "cache", 1 << 20).put(other, MARK)
    use_key()
    assert torch.equal(TensorCache(tmp_path / "cache", 1 << 20).get(other), MARK + 1)


def test_a_plain_cache_is_not_mixed_with_encrypted_entries(tmp_path, use_key):
    cache, one, _ = filled(tmp_path / "cache")
    cache.close()
    use_key()
    with pytest.raises(CheckpointError, match="entries that are not encrypted; choose another folder"):
        TensorCache(tmp_path / "cache", 1 << 20).get(one)


def test_entries_cannot_be_exchanged_or_changed_even_with_a_right_checksum(tmp_path, use_key):
    use_key()
    cache, one, other = filled(tmp_path / "cache")
    cache.close()
    foreign = entry_of(tmp_path / "cache", other)

    def with_checksum(form_and_content: bytes) -> bytes:
        form, content = form_and_content[:1], form_and_content[1:]
        return HEADER.pack(zlib.crc32(content, zlib.crc32(form, zlib.crc32(one))), form) + content

    for change in (lambda _: with_checksum(foreign[4:]), lambda s: with_checksum(s[4:-1] + bytes([s[-1] ^ 1]))):
        entry_of(tmp_path / "cache", one, change)
        again = TensorCache(tmp_path / "cache", 1 << 20)
        with pytest.raises(CheckpointError, match="an entry of the cache: was changed"):
            again.get(one)
        again.close()


def test_a_person_is_purged_from_an_encrypted_cache(tmp_path, use_key):
    use_key()
    cache, one, other = filled(tmp_path / "cache")
    digest = cache.content_digest(tmp_path / "voice.wav")
    cache.close()
    assert known_contents(tmp_path / "cache", [tmp_path / "voice.wav"]) == {tmp_path / "voice.wav": {digest}}
    removed = remove_origins(tmp_path / "cache", {one[:8]}, {digest}, dry=False)
    assert removed.kinds == {"file digest": 1, "text": 1}
    again = TensorCache(tmp_path / "cache", 1 << 20)
    assert again.get(one) is None
    assert torch.equal(again.get(other), MARK + 1)
