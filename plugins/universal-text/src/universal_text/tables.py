"""What transformers' tables of automatic classes say of a model, read without importing transformers."""

from universal_core import ModelInfo, names_in_mapping

_TABLES = "transformers.models.auto.modeling_auto"


def class_in(info: ModelInfo, *tables: str) -> str | None:
    """Return the class in config.json that one of transformers' tables of automatic classes has, None for none.

    A table is named by what stands before ``_MAPPING_NAMES``, such as ``MODEL_FOR_IMAGE_CLASSIFICATION``.
    """
    known = {name for table in tables for names in _table(table).values() for name in names}
    return next((name for name in info.architectures if name in known), None)


def type_in(info: ModelInfo, *tables: str) -> bool:
    """Say whether the ``model_type`` in config.json is one that one of these tables has a class for."""
    return any(info.config.get("model_type") in _table(table) for table in tables)


def _table(name: str) -> dict[str, tuple[str, ...]]:
    return names_in_mapping(_TABLES, f"{name}_MAPPING_NAMES")
