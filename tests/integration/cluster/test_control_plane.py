"""The API server that the tests stand on does what they rely on."""

from tests.cluster.control_plane import ControlPlane
from tests.cluster.crds import DGD, DGDSA


def test_it_serves_both_versions_of_a_graph_deployment(control_plane: ControlPlane) -> None:
    admin = control_plane.admin
    for definition in (DGD, DGDSA):
        admin.crd(definition)
    namespace = admin.namespace()
    path = f"/apis/nvidia.com/v1alpha1/namespaces/{namespace}/dynamographdeploymentscalingadapters"
    admin.ask(
        "POST",
        path,
        {
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "DynamoGraphDeploymentScalingAdapter",
            "metadata": {"name": "llm-decode"},
            "spec": {"replicas": 2},
        },
    )

    scaled = admin.merge(f"{path}/llm-decode/scale", {"spec": {"replicas": 5}})
    read = admin.get(f"{path.replace('v1alpha1', 'v1beta1')}/llm-decode")

    assert scaled["spec"]["replicas"] == 5
    assert read["spec"]["replicas"] == 5
    assert [entry["verb"] for entry in control_plane.audit(verbs=("patch",))][-1] == "patch"
