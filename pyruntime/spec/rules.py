"""What the schema cannot say of the document as a whole; a feature's own rules live with it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_DIGITS = "0123456789"


def rules(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (pointer, why) for a document that keeps to the schema."""
    version = spec["ociVersion"]
    if not _is_version(version):
        yield "/ociVersion", f"expected a version such as `1.3.0`, found `{version}`"
    elif not version.startswith("1."):
        yield "/ociVersion", f"this runtime knows the specification 1.x.y, not {version}"
    if "" in spec.get("annotations", ()):
        yield "/annotations/", "the key of an annotation must not be empty"


def _is_version(text: str) -> bool:
    """Whether the text begins as SemVer 2.0.0 wants: three numbers, then `-` or `+` or nothing."""
    numbers = text.partition("+")[0].partition("-")[0].split(".")
    return len(numbers) == 3 and all(
        part and not part.strip(_DIGITS) and (part == "0" or part[0] != "0") for part in numbers
    )
