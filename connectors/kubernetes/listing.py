"""Which objects of the API server are meant: a list of them, or the one of a name."""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kubernetes.target import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is mirrored.

    Attributes:
        path: Where the list is.
        selector: Label selector; empty is all.
        name: The only object that counts, which may be read by itself; empty is all.
    """

    path: str
    selector: str = ""
    name: str = ""

    @classmethod
    def of_object(cls, key: ObjectKey) -> "Listing":
        """Return the list that has nothing but one object."""
        return cls(path=key.resource.path(key.namespace), name=key.name)

    @property
    def query(self) -> Mapping[str, str]:
        """Return what selects it."""
        labels = {"labelSelector": self.selector} if self.selector else {}
        return {**labels, "fieldSelector": f"metadata.name={self.name}"} if self.name else labels

    def __str__(self) -> str:
        """Return the path, with the name where there is one."""
        return f"{self.path}/{self.name}" if self.name else self.path
