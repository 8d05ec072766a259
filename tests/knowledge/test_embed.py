"""What holds for every embedder, what MiniLM means, and what becomes of its files."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.errors import InputError
from agentroute.knowledge.embed import (
    CachedEmbedder,
    HashingEmbedder,
    MiniLMEmbedder,
    ProviderEmbedder,
    default_embedder,
    make_embedder,
)
from agentroute.knowledge.encoder import MANIFEST, copy_encoder, read_checked, read_encoder
from agentroute.knowledge.export import export_encoder
from agentroute.types import Embedder

TEXTS = ["one question", "another, longer question about rivers", "", "三", "nul\0", "\ud800", "a " * 500_000]


def letters(texts):
    """Stands for a provider: counts letters, not to unit length."""
    return [[float(text.count(letter)) for letter in "aeiostrn"] for text in texts]


@pytest.fixture(scope="module")
def minilm():
    embedder = MiniLMEmbedder()
    embedder.embed(["warm"])
    return embedder


@pytest.fixture(scope="module")
def bundle(minilm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    minilm.bundle(folder)
    return folder


@pytest.fixture(params=["minilm", "hashing", "provider"])
def embedder(request, minilm):
    return {
        "minilm": minilm,
        "hashing": HashingEmbedder(64),
        "provider": ProviderEmbedder("letters", 8, letters, batch=3),
    }[request.param]


# ---------------------------------------------------------------------------- laws of all


def test_vectors_are_unit_float32_rows(embedder):
    rows = embedder.embed(TEXTS)
    assert isinstance(embedder, Embedder)
    assert rows.shape == (len(TEXTS), embedder.dim) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(embedder):
    rows = embedder.embed([])
    assert rows.shape == (0, embedder.dim) and rows.dtype == np.float32


def test_a_batch_equals_its_singles(embedder):
    singles = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.allclose(embedder.embed(TEXTS), singles, atol=1e-4)


def test_order_and_company_do_not_matter(embedder):
    texts = [f"text {'with words ' * (i % 9)} {i}" for i in range(70)]
    rows = embedder.embed(texts)
    assert np.allclose(embedder.embed(texts[::-1])[::-1], rows, atol=1e-4)
    assert np.array_equal(embedder.embed([*texts, *texts])[70:], embedder.embed([*texts, *texts])[:70])


def test_an_empty_text_has_one_fixed_vector(embedder):
    assert np.allclose(embedder.embed(["", " ", "\n"]), embedder.embed([""]), atol=1e-6)


def test_one_string_in_place_of_a_list_is_refused(embedder):
    with pytest.raises(InputError, match=r"embed\(\[text\]\)"):
        embedder.embed("word")
    with pytest.raises(InputError, match="NoneType"):
        embedder.embed(["word", None])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_has_a_hashing_vector(texts):
    rows = HashingEmbedder(16).embed(texts)
    assert rows.shape == (len(texts), 16) and np.isfinite(rows).all()


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_has_a_minilm_vector(minilm, text):
    rows = minilm.embed([text])
    assert np.isfinite(rows).all() and abs(np.linalg.norm(rows) - 1) < 1e-5


# ---------------------------------------------------------------------------- hashing and providers


def test_hashing_is_the_same_in_every_process():
    code = (
        "from agentroute.knowledge.embed import HashingEmbedder\n"
        "print(HashingEmbedder(32).embed(['the same words']).tobytes().hex())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == HashingEmbedder(32).embed(["the same words"]).tobytes().hex()


def test_hashing_puts_texts_that_share_words_nearer():
    a, b, c = HashingEmbedder().embed(
        ["the price of red apples", "price of the apples", "quantum field theory"]
    )
    assert a @ b > 0.5 > a @ c


def test_sizes_below_one_are_refused():
    with pytest.raises(InputError, match="dim=0"):
        HashingEmbedder(0)
    with pytest.raises(InputError, match="dim=0"):
        ProviderEmbedder("m", 0, letters)


def test_a_provider_is_asked_once_for_each_text_in_batches_and_never_for_nothing():
    calls = []

    def ask(texts):
        calls.append(list(texts))
        return letters(texts)

    ProviderEmbedder("letters", 8, ask, batch=2).embed(["a", "", "b", "a", " ", "c\0"])
    assert calls == [["a", "b"], ["c"]]
    ProviderEmbedder("letters", 8, ask).embed([""])
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ([[1.0]], "shape"),
        ([], "shape"),
        ([[float("nan")] * 8], "not finite"),
        ([["x"] * 8], "not lists of numbers"),
        ([[1.0] * 8, [1.0] * 7], "not lists of numbers"),
        (None, "not lists of numbers|shape"),
    ],
)
def test_a_provider_that_gives_something_else_is_named(reply, message):
    with pytest.raises(InputError, match=f"letters gave.*({message})"):
        ProviderEmbedder("letters", 8, lambda texts: reply).embed(["word"])


# ---------------------------------------------------------------------------- what MiniLM means


def test_minilm_puts_paraphrases_nearer_than_strangers(minilm):
    pairs = [
        ("How old is the president?", "What is the age of the head of state?"),
        ("convert 3 miles to kilometres", "how many km are three miles"),
        ("The cat sat on the mat.", "A kitten was resting on a rug."),
    ]
    left, right = (minilm.embed(list(side)) for side in zip(*pairs, strict=True))
    likeness = left @ right.T
    assert (likeness.argmax(axis=1) == np.arange(3)).all()
    assert np.diag(likeness).min() > np.max(likeness - np.eye(3)) + 0.2


def test_minilm_gives_the_reference_implementations_numbers(minilm):
    # sentence-transformers 6.2, encode(..., normalize_embeddings=True), first four of 384.
    expected = {
        "How many minutes are there in 3.5 days?": [0.059787, 0.009314, 0.039489, 0.019223],
        "": [-0.118838, 0.048299, -0.002548, -0.011011],
        "Ärger in 東京": [0.051398, 0.025894, 0.000367, -0.020736],
    }
    assert np.allclose(minilm.embed(list(expected))[:, :4], list(expected.values()), atol=1e-4)


def test_minilm_reads_256_tokens_and_no_more(minilm):
    marks = "word " * 254  # and two marks at the ends
    near, far, short = minilm.embed([marks, marks + "river " * 100, "word " * 200 + "river " * 54])
    assert np.allclose(near, far, atol=1e-6)
    assert near @ short < 0.99


# ---------------------------------------------------------------------------- its files


def run(code, *args):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bundle_decides_without_torch(bundle, minilm):
    code = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None  # as if neither were installed
from agentroute.knowledge.embed import MiniLMEmbedder
embedder = MiniLMEmbedder(sys.argv[1])
print(embedder.fingerprint)
print(embedder.embed(["a question"]).tobytes().hex())
"""
    fingerprint, vector = run(code, bundle).split("\n")[:2]
    assert fingerprint == minilm.fingerprint
    assert np.allclose(
        np.frombuffer(bytes.fromhex(vector), np.float32), minilm.embed(["a question"]), atol=1e-6
    )


def test_nothing_is_loaded_before_the_first_text():
    code = """
import sys
from agentroute.knowledge.embed import default_embedder
print(default_embedder().fingerprint, default_embedder().dim)
print(sorted({"torch", "transformers", "onnxruntime", "tokenizers", "litellm"} & set(sys.modules)))
"""
    assert run(code).split("\n")[1] == "[]"


def test_a_damaged_bundle_is_refused(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    encoder = read_encoder(tmp_path / "b")
    for name in (encoder.onnx, encoder.tokenizer):
        whole = (tmp_path / "b" / name).read_bytes()
        (tmp_path / "b" / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(InputError, match="damaged"):
            MiniLMEmbedder(tmp_path / "b").embed(["a"])
        (tmp_path / "b" / name).unlink()
        with pytest.raises(InputError, match="cannot be read"):
            MiniLMEmbedder(tmp_path / "b").embed(["a"])
        (tmp_path / "b" / name).write_bytes(whole)
    assert MiniLMEmbedder(tmp_path / "b").embed(["a"]).shape == (1, 384)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": 0},
        {"onnx": "../elsewhere.onnx"},
        {"dim": "384"},
        {"max_tokens": 0},
        {"onnx": None},
        {"surprise": 1},
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(bundle, tmp_path, change):
    manifest = json.loads((bundle / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(InputError, match=MANIFEST):
        MiniLMEmbedder(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", "{" * 100])
def test_a_manifest_that_is_no_manifest_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(InputError, match="bundle"):
        MiniLMEmbedder(tmp_path)


def test_a_folder_without_an_encoder_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match=r"bundle\(\)"):
        MiniLMEmbedder(tmp_path)


def test_a_bundle_into_a_file_is_refused(minilm, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        minilm.bundle(tmp_path / "file" / "deeper")


def test_a_damaged_file_in_the_cache_folder_is_exported_again(bundle, minilm, tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTROUTE_CACHE", str(tmp_path))
    shutil.copytree(bundle, tmp_path / "all-MiniLM-L6-v2")
    network = tmp_path / "all-MiniLM-L6-v2" / read_encoder(bundle).onnx
    network.write_bytes(network.read_bytes()[:1_000_000])
    assert np.allclose(MiniLMEmbedder().embed(["a question"]), minilm.embed(["a question"]), atol=1e-5)
    code = "import sys; from agentroute.knowledge.embed import MiniLMEmbedder as M\nM().embed(['a'])\n"
    assert run(code + "print('torch' in sys.modules)").strip() == "False"
    assert not [file for file in network.parent.iterdir() if file.name.startswith(".")]


@pytest.fixture(scope="module")
def tiny(bundle, tmp_path_factory):
    """The weights of two small untrained models that differ in one number."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=30522, **sizes)
    state = BertModel(config).state_dict()
    folders = []
    for shift in (0.0, 1e-3):
        folder = tmp_path_factory.mktemp("weights")
        state["encoder.layer.0.output.dense.bias"][0] += shift
        save_file({key: value.contiguous() for key, value in state.items()}, folder / "model.safetensors")
        config.save_pretrained(folder)
        shutil.copy(bundle / read_encoder(bundle).tokenizer, folder / "tokenizer.json")
        folders.append(folder)
    return folders


def test_other_weights_are_another_fingerprint(tiny, tmp_path):
    prints = {export_encoder(weights, tmp_path / weights.name, name="tiny").fingerprint for weights in tiny}
    again = export_encoder(tiny[0], tmp_path / "again", name="tiny")
    assert len(prints) == 2 and again.fingerprint in prints
    embedder = MiniLMEmbedder(tmp_path / "again")
    assert embedder.dim == 16 and embedder.embed(["a", "b c"]).shape == (2, 16)


def test_padding_changes_no_vector(tiny, tmp_path):
    export_encoder(tiny[0], tmp_path, name="tiny")
    embedder = MiniLMEmbedder(tmp_path)
    texts = ["one", "one two three four five six seven"]
    assert np.allclose(embedder.embed(texts)[0], embedder.embed(texts[:1])[0], atol=1e-6)


def test_weights_that_lack_a_part_are_refused(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny[0], tmp_path / "w")
    state = load_file(tmp_path / "w" / "model.safetensors")
    del state["embeddings.word_embeddings.weight"]
    save_file(state, tmp_path / "w" / "model.safetensors")
    with pytest.raises(InputError, match="word_embeddings"):
        export_encoder(tmp_path / "w", tmp_path / "out", name="tiny")
    assert not (tmp_path / "out").exists()


COPIER = """
import sys
from pathlib import Path
from agentroute.knowledge.encoder import copy_encoder, read_encoder
for _ in range(40):
    copy_encoder(read_encoder(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_who_reads_while_two_processes_write_sees_a_whole_encoder(tiny, tmp_path):
    sources = [export_encoder(weights, tmp_path / weights.name, name="tiny") for weights in tiny]
    out = tmp_path / "out"
    copy_encoder(sources[0], out)
    command = [sys.executable, "-W", "error", "-c", COPIER]
    writers = [subprocess.Popen([*command, str(source.folder), str(out)]) for source in sources]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        encoder = read_encoder(out)
        read_checked(out, encoder.onnx, encoder.onnx_sha256)
        read_checked(out, encoder.tokenizer, encoder.tokenizer_sha256)
        seen.add(encoder.fingerprint)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {source.fingerprint for source in sources}
    assert len(list(out.iterdir())) == 4  # two networks, their one tokenizer, one manifest


# ---------------------------------------------------------------------------- by name


def test_embedders_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTROUTE_CACHE", str(tmp_path))
    assert make_embedder("hashing").fingerprint == HashingEmbedder().fingerprint
    one = make_embedder("minilm")
    assert isinstance(one, CachedEmbedder) and one is default_embedder()
    assert one.fingerprint == MiniLMEmbedder().fingerprint
    monkeypatch.setenv("AGENTROUTE_CACHE", str(tmp_path / "other"))
    assert default_embedder() is not one


@pytest.mark.parametrize("name", ["", "MiniLM", "st:", "bert"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(InputError, match="minilm, hashing or st:NAME"):
        make_embedder(name)


def test_without_sentence_transformers_the_error_names_the_extra():
    code = """
import sys
sys.modules["sentence_transformers"] = None  # as if it were not installed
from agentroute.knowledge.embed import make_embedder
try:
    make_embedder("st:any")
except Exception as error:
    print(type(error).__name__, error)
"""
    out = run(code)
    assert out.startswith("MissingExtraError") and "agentroute-graph[sentence-transformers]" in out
