"""The settings of a run and what came of them, as the table that compares runs reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.utils.tensorboard import values
from ranvier.utils.tensorboard.events import needed

WHO = "add_hparams"


def messages(
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
    domains: Mapping[str, Sequence[Any]],
    trial: str,
) -> list[Any]:
    """What is known of all runs, the beginning of this one, and its end."""
    api = needed(WHO, "plugins.hparams.api_pb2")
    data = needed(WHO, "plugins.hparams.plugin_data_pb2")
    about = needed(WHO, "plugins.hparams.metadata")
    made = {name: _setting(name, value) for name, value in settings.items()}
    infos = [_info(api, name, value, domains.get(name)) for name, value in made.items()]
    known = [api.MetricInfo(name=api.MetricName(tag=name)) for name in metrics]
    now = time.time()
    experiment = api.Experiment(hparam_infos=infos, metric_infos=known, time_created_secs=now)
    begun = needed(WHO, "plugins.hparams.summary_v2").hparams_pb(made, trial_id=trial)
    ended = data.SessionEndInfo(status=api.STATUS_SUCCESS, end_time_secs=now)

    def message(tag: str, **content: Any) -> Any:
        metadata = about.create_summary_metadata(data.HParamsPluginData(**content))
        return values.value(tag, metadata=metadata, tensor=about.NULL_TENSOR)

    return [
        message(about.EXPERIMENT_TAG, experiment=experiment),
        begun,
        message(about.SESSION_END_INFO_TAG, session_end_info=ended),
    ]


def _info(api: Any, name: str, value: Any, domain: Sequence[Any] | None) -> Any:
    kinds = {bool: api.DATA_TYPE_BOOL, str: api.DATA_TYPE_STRING}
    info = api.HParamInfo(name=name, type=kinds.get(type(value), api.DATA_TYPE_FLOAT64))
    if domain is not None:
        info.domain_discrete.extend([_setting(name, one) for one in domain])
    return info


def _setting(name: str, value: Any) -> bool | str | float:
    if value is None:
        return ""
    if isinstance(value, (bool, str)):
        return value
    found = values.array(f"hparam_dict: {name}", value)
    if found.size != 1:
        raise ValueError(
            f"[{WHO}] hparam_dict: {name}: expected one value, got shape {found.shape}"
        )
    return bool(found.item()) if found.dtype == bool else float(found.item())
