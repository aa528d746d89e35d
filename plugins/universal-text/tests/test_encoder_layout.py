"""What is read from a folder in the layout of sentence-transformers, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiny.embedding import load
from tiny.encoders import make_bert, make_sentence_transformer
from universal_core import LoadFailed
from universal_text.encoder.layout import Dense, Layout, Normalize, read_layout


def change(path: Path, **values: Any) -> None:
    """Change settings in a JSON file; one that is set to None is taken out."""
    document = json.loads(path.read_text()) if path.exists() else {}
    document = {name: value for name, value in {**document, **values}.items() if value is not None}
    path.write_text(json.dumps(document))


def rename_module(path: Path, place: int, kind: str) -> None:
    modules = json.loads((path / "modules.json").read_text())
    modules[place]["type"] = kind
    (path / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize("new_names", [False, True])
def test_a_layout_is_read_under_its_old_and_new_names(new_names: bool, tmp_path: Path) -> None:
    make_sentence_transformer(
        tmp_path, pooling=("cls", "mean_sqrt", "last"), dense=True, new_names=new_names, max_seq_length=99
    )
    layout = read_layout(str(tmp_path))
    assert layout.pooling == ("cls", "mean_sqrt", "last")
    assert layout.steps == (Dense(str(tmp_path / "2_Dense"), 96, 16), Normalize())
    assert layout.max_length == 99
    assert layout.prompts["query"] == "query: "


def test_a_folder_without_modules_is_pooled_by_the_mean(tmp_path: Path) -> None:
    make_bert(tmp_path)
    assert read_layout(str(tmp_path)) == Layout(transformer=str(tmp_path))


def test_a_transformer_may_have_a_folder_of_its_own(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert read_layout(str(tmp_path)).transformer == str(tmp_path / "0_Transformer")


def test_dropout_is_nothing_outside_of_training(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    rename_module(tmp_path, 2, "sentence_transformers.models.Dropout")
    assert read_layout(str(tmp_path)).steps == ()


def test_the_saved_dimensions_apply_to_requests_that_name_none(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    change(tmp_path / "config_sentence_transformers.json", truncate_dim=8)
    assert read_layout(str(tmp_path)).dimensions == 8


@pytest.mark.parametrize("kind", ["sentence_transformers.models.WordWeights", "custom_code.Pooler"])
def test_an_unknown_module_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    rename_module(tmp_path, 2, kind)
    with pytest.raises(LoadFailed, match=kind.rpartition(".")[2]):
        read_layout(str(tmp_path))


def test_a_layout_without_pooling_is_refused(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    rename_module(tmp_path, 1, "sentence_transformers.sparse_encoder.models.SpladePooling")
    with pytest.raises(LoadFailed, match="Transformer, SpladePooling"):
        read_layout(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "median"),
        ("2_Dense/config.json", {"in_features": None}, "in_features"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "Dense"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "fill-mask"),
        ("config_sentence_transformers.json", {"default_prompt_name": "nothing"}, "nothing"),
    ],
)
def test_an_unknown_setting_is_refused_by_name(file: str, values: dict[str, Any], words: str, tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, dense=True)
    change(tmp_path / file, **values)
    with pytest.raises(LoadFailed, match=words):
        read_layout(str(tmp_path))


def test_a_file_that_is_not_json_is_refused_by_name(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    (tmp_path / "modules.json").write_text("[")
    with pytest.raises(LoadFailed, match=r"modules\.json is not valid JSON"):
        read_layout(str(tmp_path))


@pytest.mark.parametrize("name", ["torch.nn.modules.activation.MultiheadAttention", "os.system", "evil.Tanh"])
def test_an_activation_is_never_imported_by_its_name(name: str, tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, dense={"activation_function": name})
    with pytest.raises(LoadFailed, match=name.rpartition(".")[2]):
        load(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, dense=True)
    change(tmp_path / "2_Dense" / "config.json", out_features=17)
    with pytest.raises(LoadFailed, match="2_Dense do not fit"):
        load(tmp_path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    change(tmp_path / "config.json", num_hidden_layers=3)
    with pytest.raises(LoadFailed, match=r"lack \d+ tensors"):
        load(tmp_path)


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(LoadFailed, match="cannot be loaded"):
        load(tmp_path)
