"""How many GPUs a pod takes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kubernetes.gpus import claims_of, count_claim, count_gpus, engine_gpus

Json = dict[str, Any]


def container(*, limits: Json | None = None, requests: Json | None = None, **more: object) -> Json:
    return {"resources": {"limits": limits or {}, "requests": requests or {}}, **more}


def template(*requests: Json) -> Json:
    return {"spec": {"spec": {"devices": {"requests": list(requests)}}}}


def exactly(kind: str = "gpu.nvidia.com", **more: object) -> Json:
    return {"name": "r", "exactly": {"deviceClassName": kind, **more}}


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.com/gpu",
        "amd.com/gpu",
        "gpu.intel.com/i915",
        "gpu.intel.com/xe",
        "habana.ai/gaudi",
        "google.com/tpu",
        "huawei.com/Ascend910",
    ],
)
def test_every_device_plugin_counts(name: str) -> None:
    assert count_gpus({"containers": [container(limits={name: "4", "cpu": "8"})]}).gpus == 4


def test_limits_count_before_requests_and_requests_without_limits() -> None:
    both = container(limits={"nvidia.com/gpu": 2}, requests={"nvidia.com/gpu": 1})
    only = container(requests={"nvidia.com/gpu": "3"})

    assert count_gpus({"containers": [both, only]}).gpus == 5


def test_the_largest_init_container_counts_if_it_is_larger_than_all_the_rest() -> None:
    spec = {
        "initContainers": [container(limits={"nvidia.com/gpu": 8}), container(limits={"nvidia.com/gpu": 2})],
        "containers": [container(limits={"nvidia.com/gpu": 4})],
    }

    assert count_gpus(spec).gpus == 8


def test_sidecars_add_to_what_starts_after_them() -> None:
    sidecar = container(limits={"nvidia.com/gpu": 1}, restartPolicy="Always")
    init = container(limits={"nvidia.com/gpu": 4})
    main = container(limits={"nvidia.com/gpu": 4})

    assert count_gpus({"initContainers": [sidecar], "containers": [main]}).gpus == 5
    assert count_gpus({"initContainers": [sidecar, init], "containers": [main]}).gpus == 5
    assert count_gpus({"initContainers": [init, sidecar], "containers": [container()]}).gpus == 4


def test_a_pod_that_asks_for_no_gpu_has_none() -> None:
    assert count_gpus({"containers": [container(limits={"cpu": "2"}), {}]}).gpus == 0
    assert count_gpus({}).gpus == 0


@pytest.mark.parametrize(
    "name", ["nvidia.com/mig-1g.5gb", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.5gb.shared"]
)
def test_a_share_of_a_gpu_is_no_gpu_and_says_so(name: str) -> None:
    found = count_gpus({"containers": [container(limits={name: 1})]})

    assert found.gpus is None
    assert name in found.why


@pytest.mark.parametrize("value", ["500m", "1.5", -1, True, "", None])
def test_what_is_no_whole_number_is_not_known(value: object) -> None:
    found = count_gpus({"containers": [container(limits={"nvidia.com/gpu": value})]})

    assert found.gpus is None
    assert "nvidia.com/gpu, which is no whole number" in found.why


def test_the_pods_of_an_engine_add_up() -> None:
    leader, worker = ({"containers": [container(limits={"nvidia.com/gpu": n})]} for n in (8, 4))

    assert engine_gpus([(leader, 1), (worker, 3)]).gpus == 20


def test_an_engine_without_gpus_is_one_whose_gpus_are_not_known() -> None:
    found = engine_gpus([({"containers": [{}]}, 2)])

    assert found.gpus is None
    assert "no GPU of a kind that is known" in found.why


def test_one_pod_that_is_not_known_makes_the_engine_unknown() -> None:
    known = {"containers": [container(limits={"nvidia.com/gpu": 8})]}
    share = {"containers": [container(limits={"nvidia.com/mig-1g.5gb": 1})]}

    assert engine_gpus([(known, 1), (share, 1)]).gpus is None


def test_claims_count_once_however_many_containers_use_them() -> None:
    spec = {
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "two"}],
        "containers": [
            {"resources": {"claims": [{"name": "gpu"}]}},
            {"resources": {"claims": [{"name": "gpu"}]}},
        ],
    }

    assert claims_of(spec) == ("two",)
    assert count_gpus(spec, {"two": template(exactly(count=2))}).gpus == 2


def test_a_template_that_was_not_read_makes_the_pod_unknown() -> None:
    found = count_gpus({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "two"}]})

    assert found.gpus is None
    assert "'two' was not read" in found.why


def test_a_claim_that_pods_share_cannot_be_counted_for_one_of_them() -> None:
    found = count_gpus({"resourceClaims": [{"name": "gpu", "resourceClaimName": "all-of-us"}]})

    assert found.gpus is None
    assert "share the resource claim 'all-of-us'" in found.why


@pytest.mark.parametrize(
    ("request_", "gpus", "why"),
    [
        (exactly(), 1, ""),
        (exactly(count=4), 4, ""),
        (exactly("gpu.amd.com", count=2), 2, ""),
        ({"name": "r", "deviceClassName": "gpu.nvidia.com", "count": 3}, 3, ""),
        (exactly(allocationMode="All"), None, "takes all devices of a node"),
        (exactly("mig.nvidia.com"), None, "a share of a GPU"),
        (exactly("nic.example.com"), None, "is not known to be a GPU"),
        (exactly(count="many"), None, "no whole number"),
        (exactly(adminAccess=True), 0, ""),
        ({"firstAvailable": [exactly()["exactly"], exactly("gpu.amd.com")["exactly"]]}, 1, ""),
        ({"firstAvailable": [exactly()["exactly"], exactly(count=2)["exactly"]]}, None, "different size"),
    ],
)
def test_a_claim_says_its_devices_in_every_version_of_the_api(
    request_: Json, gpus: int | None, why: str
) -> None:
    found = count_claim(template(request_))

    assert found.gpus == gpus
    assert why in found.why


def test_a_network_card_beside_gpus_does_not_hide_them() -> None:
    assert count_claim(template(exactly(count=8), exactly("nic.example.com"))).gpus == 8
    assert count_claim(template(exactly(count=8), exactly("mig.nvidia.com"))).gpus is None


@given(st.lists(st.integers(0, 64), max_size=5))
def test_containers_add_up(counts: list[int]) -> None:
    spec = {"containers": [container(limits={"nvidia.com/gpu": str(count)}) for count in counts]}

    assert count_gpus(spec).gpus == sum(counts)
