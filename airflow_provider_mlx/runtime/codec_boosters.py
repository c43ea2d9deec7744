"""Codecs of gradient boosters in their own formats. Frameworks are imported in the functions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .codec_parts import count, cut, named, reading
from .codecs import HashingWriter, plain, type_name
from .refusals import ArtifactError
from .wire import NotPlain, decode, encode

PARAMETERS = "mlx_parameters"
"""The booster's attribute that holds the parameters of a scikit-learn wrapper, as wire JSON."""

_WRAPPERS = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")


def save_xgboost(value: Any, sink: HashingWriter) -> None:
    """
    UBJSON, XGBoost's own format; a wrapper's parameters travel as an attribute of its booster.

    :raises ValueError: the wrapper is not fitted, or has a parameter that is code.
    """
    if type_name(type(value)) == "xgboost.Booster":
        sink.write(value.save_raw(raw_format="ubj"))
        return
    booster = value.get_booster().copy()
    try:
        booster.set_attr(**{PARAMETERS: json.dumps(encode(plain(value.get_params())), sort_keys=True)})
    except NotPlain as error:
        raise ValueError(
            f"the parameter {error}: set it where the model is used, or return `model.get_booster()`"
        ) from error
    sink.write(booster.save_raw(raw_format="ubj"))


def load_xgboost(path: Path, type_name: str) -> Any:
    """
    A booster, or the wrapper that was saved, with its parameters.

    The bytes are handed over, since XGBoost judges a file by its name.
    """
    import xgboost

    content = bytearray(path.read_bytes())
    wrapper = type_name.rpartition(".")[2]
    with reading(path, "model", xgboost.core.XGBoostError, ValueError, TypeError, KeyError):
        if content[:1] != b"{" or content[-1:] != b"}":
            raise ValueError("it is not whole")  # XGBoost ends the process where there is nothing at all
        booster = xgboost.Booster()
        booster.load_model(content)
        if wrapper not in _WRAPPERS:
            return booster
        parameters = _checked(decode(json.loads(booster.attr(PARAMETERS) or "{}")))
        booster.set_attr(**{PARAMETERS: None})
        model = getattr(xgboost, wrapper)(**parameters)
        model.load_model(booster.save_raw(raw_format="ubj"))
        return model.set_params(**parameters)  # loading puts what was fitted in the place of some of them


def _checked(parameters: Any) -> dict[str, Any]:
    if not isinstance(parameters, dict):
        raise TypeError("the parameters are no object")
    return parameters


def describe_xgboost(value: Any) -> list[str]:
    """Rounds, features and objective."""
    booster = value if type_name(type(value)) == "xgboost.Booster" else value.get_booster()
    lines = [f"{count(booster.num_boosted_rounds(), 'round')}, {count(booster.num_features(), 'feature')}"]
    return [*lines, f"features: {named(booster.feature_names)}"] if booster.feature_names else lines


def save_lightgbm(value: Any, sink: HashingWriter) -> None:
    """LightGBM's own text, up to the best iteration where there is one: that is what the booster predicts with."""
    sink.write(value.model_to_string().encode())


def load_lightgbm(path: Path, type_name: str) -> Any:
    """A booster."""
    import lightgbm

    with reading(path, "model", lightgbm.basic.LightGBMError, ValueError, TypeError, KeyError):
        text = path.read_bytes().decode()
        if not _is_whole(text):
            raise ArtifactError(f"the model of {path.name} cannot be read: it is not whole")
        return lightgbm.Booster(model_str=text)


def _is_whole(text: str) -> bool:
    """
    Whether the trees are as long as the header says and all parts are there.

    LightGBM does not look, and ends the process where a text is cut short (measured with 4.7).
    """
    sizes = re.search(r"^tree_sizes=([\d ]*)$", text, re.MULTILINE)
    first, end = text.find("Tree=0"), text.find("end of trees")
    if (
        sizes is None
        or not 0 <= first < end
        or not re.search(r"\nend of parameters\n\npandas_categorical:.*\n?$", text)
    ):
        return False
    return sum(int(size) for size in sizes[1].split()) == end - first


def describe_lightgbm(value: Any) -> list[str]:
    """Trees and features."""
    names = value.feature_name()
    return [f"{count(value.num_trees(), 'tree')}, {count(value.num_feature(), 'feature')}", cut(named(names))]
